package waitfor

import (
	"fmt"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// failing is a test that ends as one does, and notes why.
type failing struct {
	testing.TB
	why string
}

func (f *failing) Helper() {}

func (f *failing) Fatalf(format string, args ...any) {
	f.why = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func TestConditionIsAwaitedAndBounded(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		after time.Duration
		want  string
	}{
		"AtOnce": {0, ""},
		"Late":   {limit - time.Second, ""},
		"Never":  {2 * limit, "not within 30s: the end"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				begun, f := time.Now(), &failing{}
				var all sync.WaitGroup
				all.Go(func() { Condition(f, "the end", func() bool { return time.Since(begun) >= c.after }) })
				all.Wait()
				if f.why != c.want {
					t.Errorf("it ended with %q, want %q", f.why, c.want)
				}
			})
		})
	}
}
