package memory

import (
	"fmt"
	"net/http"
	"reflect"
	"testing"
)

// Behaviours 4, 59. A kept header comes back equal, each time as another copy.
func TestKeptHeaderComesBackEqual(t *testing.T) {
	t.Parallel()
	large := make(http.Header)
	for i := range 20 {
		large[fmt.Sprintf("X-%d", i)] = []string{"a", fmt.Sprint(i)}
	}
	for name, h := range map[string]http.Header{
		"Nil":       nil,
		"Empty":     {},
		"One":       {"A": {"1"}},
		"Many":      {"A": {"1", "2", "1"}, "B": {"3"}},
		"NilValues": {"A": nil, "B": {}, "C": {"1"}},
		"Large":     large,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := h.Clone()
			var kept keptHeader
			kept.set(h)
			for range 2 {
				spoil(h)
				if got := kept.header(); !reflect.DeepEqual(got, want) {
					t.Errorf("got %#v, want %#v", got, want)
				}
				h = kept.header()
			}
		})
	}
}

// spoil changes all that a caller could.
func spoil(h http.Header) {
	for name, values := range h {
		for i := range values {
			values[i] = "spoiled"
		}
		h[name] = append(values, "more")
	}
}
