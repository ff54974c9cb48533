package txstore_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/pgidem/pgidem/idem"
)

// A Do inside a handler of another key has a transaction of its own.
func TestDoInsideAnotherKeyHasItsOwnTransaction(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	failed := errors.New("outer failed")
	_, _, err := w.do(t.Context(), "outer", func() error { return failed })
	if !errors.Is(err, failed) {
		t.Fatal(err)
	}
	_, err = idem.Do(t.Context(), idem.DoConfig{Store: w.store}, "outer", nil, func(ctx context.Context) (int, error) {
		if _, runs, err := w.do(ctx, "inner", nothing); runs != 1 || err != nil {
			t.Errorf("inner: %d runs, %v", runs, err)
		}
		return 0, failed
	})
	if !errors.Is(err, failed) {
		t.Fatal(err)
	}
	w.mustHold("outer", 0, 0)
	w.mustHold("inner", 1, 1)
}

// Duplicates in two processes: one runs, the others wait and get its result.
func TestDoDuplicatesInTwoProcesses(t *testing.T) {
	t.Parallel()
	needsLocks(t, "only they keep attempts of two processes apart before the first commits")
	w := newWorld(t, given{})
	worlds := []*world{w, w.process(given{})}
	type answer struct {
		got  string
		runs int
		err  error
	}
	const calls = 20
	answers := make(chan answer, calls)
	for i := range calls {
		go func() {
			var a answer
			a.got, a.runs, a.err = worlds[i%2].do(t.Context(), "k", func() error {
				<-time.After(20 * time.Millisecond) // the work
				return nil
			})
			answers <- a
		}()
	}
	runs := 0
	for range calls {
		a := await(t, "a result", answers)
		if a.got != "paid" || a.err != nil {
			t.Errorf("Do = %q, %v", a.got, a.err)
		}
		runs += a.runs
	}
	if runs != 1 {
		t.Errorf("%d runs", runs)
	}
	w.mustHold("k", 1, 1)
}
