package duration_test

import (
	"strings"
	"testing"
	"time"

	"github.com/pgidem/pgidem/internal/duration"
)

func TestFieldsAreFilledOrNamed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		given, want time.Duration
		refusal     string // "": none
	}{
		{0, time.Second, ""},
		{time.Millisecond, time.Millisecond, ""},
		{time.Minute, time.Minute, ""},
		{time.Millisecond - 1, 0, "p: Config.Wait is 999.999µs: it must be 1ms at least, or 0 for the default, 1s"},
		{-1, 0, "p: Config.Wait is -1ns: it must be 1ms at least"},
		{time.Minute + 1, 0, "p: Config.Wait is 1m0.000000001s: it must be 1m0s at most"},
	} {
		free, d := 48*time.Hour, c.given
		err := duration.Fill("p", duration.Field{Name: "Free", Value: &free},
			duration.Field{Name: "Wait", Value: &d, Default: time.Second, Min: duration.Least, Max: time.Minute})
		switch {
		case c.refusal == "" && (err != nil || d != c.want):
			t.Errorf("%v became %v, %v; want %v", c.given, d, err, c.want)
		case c.refusal != "" && (err == nil || !strings.HasPrefix(err.Error(), c.refusal)):
			t.Errorf("%v: %v, want %q", c.given, err, c.refusal)
		}
	}
}
