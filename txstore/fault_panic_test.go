package txstore_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/txstore"
)

// fragile is a tracer that panics once at a batch that has a statement which begins
// so, when it has been told which.
type fragile struct {
	statements
	at    atomic.Pointer[string]
	after bool // the batch was executed
}

func (f *fragile) TraceBatchStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceBatchStartData) context.Context {
	at := f.at.Load()
	if at == nil {
		return ctx
	}
	for _, q := range data.Batch.QueuedQueries {
		if !strings.HasPrefix(q.SQL, *at) || !f.at.CompareAndSwap(at, nil) {
			continue
		}
		if !f.after {
			panic("tracer")
		}
		return context.WithValue(ctx, f, true)
	}
	return ctx
}

func (f *fragile) TraceBatchEnd(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchEndData) {
	if ctx.Value(f) != nil {
		panic("tracer")
	}
}

func newFragileWorld(t *testing.T, f *fragile) *world {
	t.Helper()
	w := newWorld(t, given{
		Config: txstore.Config{CloseTimeout: patience},
		Pool:   func(c *pgxpool.Config) { c.ConnConfig.Tracer = f },
	})
	w.warm()
	return w
}

func (w *world) mustCloseSoon() {
	w.Helper()
	began := time.Now()
	if w.store.Close(); time.Since(began) > patience/2 {
		w.Errorf("Close took %v: something is still counted", time.Since(began))
	}
}

// mustPanic returns when f has panicked with what the tracer says.
func mustPanic(t *testing.T, f func()) {
	t.Helper()
	defer func() {
		t.Helper()
		if p := recover(); p != "tracer" {
			t.Errorf("panic %v, want the tracer's", p)
		}
	}()
	f()
}

// A panic is the caller's, who may recover from it, and not the process's; what has
// become of the COMMIT is told by the record.
func TestPanicInACommitIsItsCallers(t *testing.T) {
	t.Parallel()
	for name, after := range map[string]bool{"before": false, "after": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &fragile{after: after}
			w := newFragileWorld(t, f)
			a := w.attempt("k").mustBeFresh()
			a.pay()
			at := "COMMIT"
			f.at.Store(&at)
			mustPanic(t, func() { _ = a.commit("paid") })
			if again := w.attempt("k"); after {
				w.mustHold("k", 1, 1)
				again.mustReplay("paid")
			} else {
				w.mustHold("k", 0, 0)
				again.mustBeFresh().mustRelease()
			}
			w.mustCloseSoon()
		})
	}
}

func TestCloseDoesNotWaitForAReserveThatPanicked(t *testing.T) {
	t.Parallel()
	for name, door := range map[string]func(*world) idem.Store{
		"transaction": func(w *world) idem.Store { return w.store },
		"lease":       func(w *world) idem.Store { return w.store.Leased() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &fragile{}
			w := newFragileWorld(t, f)
			at := "BEGIN"
			f.at.Store(&at)
			a := newAttempt(t, t.Context(), door(w), "k", idem.AttemptConfig{})
			mustPanic(t, func() { _, _, _ = a.reserve() })
			w.attempt("k").mustBeFresh().mustCommit("paid")
			w.mustCloseSoon()
		})
	}
}

// A panic in a handler's Begin of a savepoint, as of a tracer, leaves nothing locked.
//
// Behaviour 37.
func TestPanicInBeginOfASavepointLeavesNothingLocked(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{Conns: 2})
	a := w.attempt("k").mustBeFresh()
	func() {
		defer func() {
			if recover() == nil {
				t.Error("no panic")
			}
		}()
		_, _ = a.tx().Begin(nil) //nolint:staticcheck // a handler's mistake
	}()
	released := make(chan error, 1)
	go func() { released <- a.release() }()
	if err := await(t, "Release", released); err != nil {
		t.Error(err)
	}
	w.attempt("k").mustBeFresh().mustRelease()
}
