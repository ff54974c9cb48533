package contend_test

import (
	"testing"

	"github.com/pgidem/pgidem/bench/internal/contend"
)

var known = []string{"a", "b", "c"}

func TestFreshKeysAreNew(t *testing.T) {
	t.Parallel()
	next := contend.Fresh.Source(known, nil)
	seen := make(map[string]bool)
	for range 1000 {
		r := next()
		if seen[r.Key] || r.Retry {
			t.Fatalf("%+v is no fresh request", r)
		}
		seen[r.Key] = true
	}
}

func TestReplaysSpreadOverTheKnownKeysAndHotOnesDoNot(t *testing.T) {
	t.Parallel()
	for w, want := range map[contend.Workload]int{contend.Replay: len(known), contend.Hot: 1} {
		next := w.Source(known, nil)
		seen := make(map[string]bool)
		for range 1000 {
			r := next()
			seen[r.Key] = true
			if !r.Retry {
				t.Fatalf("%s: %+v is no retry", w, r)
			}
		}
		if len(seen) != want {
			t.Errorf("%s uses %d keys, want %d", w, len(seen), want)
		}
	}
}

func TestStormIsTheSameForAllClients(t *testing.T) {
	t.Parallel()
	keys := contend.NewStormKeys()
	first, second := contend.Storm.Source(known, keys), contend.Storm.Source(known, keys)
	for range 300 {
		a, b := first(), second()
		if a.Key != b.Key || !a.Together || !b.Together {
			t.Fatalf("%+v and %+v are not the same request", a, b)
		}
	}
	if n := keys.Begun.Load(); n != 300 {
		t.Errorf("%d keys were begun, want 300", n)
	}
	if contend.Storm.Source(known, contend.NewStormKeys())().Key == contend.Storm.Source(known, keys)().Key {
		t.Error("two storms have keys in common")
	}
}

func TestMixedHasTwoRetriesInAHundred(t *testing.T) {
	t.Parallel()
	next := contend.Mixed.Source(known, nil)
	retries := 0
	for range 100_000 {
		if next().Retry {
			retries++
		}
	}
	if retries < 1700 || retries > 2300 {
		t.Errorf("%d retries of 100000, want about 2000", retries)
	}
}
