package idem

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// watched is a lazy context, and who waits for its end before or after it comes.
type watched struct {
	*testing.T
	lazy  *lazyContext
	early bool
}

// lazily runs test twice: with a context that has become real before anything
// happens to it, and with one that nobody has waited for yet.
func lazily(t *testing.T, parent context.Context, detached bool, limit time.Duration, test func(w watched)) {
	t.Helper()
	for name, early := range map[string]bool{"Real": true, "Lazy": false} {
		t.Run(name, func(t *testing.T) {
			c := &lazyContext{parent: parent, detached: detached}
			if limit > 0 {
				c.deadline, c.timeout = time.Now().Add(limit), ErrHandlerTimeout
			}
			if early {
				c.Done()
			}
			test(watched{t, c, early})
		})
	}
}

// mustEnd demands that the context and a child of it have ended so.
func (w watched) mustEnd(err, cause error) {
	w.Helper()
	if got := w.lazy.causeOfEnd(); !errors.Is(got, cause) {
		w.Errorf("ended by %v, want %v", got, cause)
	}
	if got := context.Cause(w.lazy); !errors.Is(got, cause) {
		w.Errorf("cause %v, want %v", got, cause)
	}
	child, cancel := context.WithCancel(w.lazy)
	defer cancel()
	for _, c := range []context.Context{w.lazy, child} {
		select {
		case <-c.Done():
		default:
			w.Fatal("it has not ended")
		}
		if got := c.Err(); !errors.Is(got, err) {
			w.Errorf("error %v, want %v", got, err)
		}
		if got := context.Cause(c); !errors.Is(got, cause) {
			w.Errorf("cause %v, want %v", got, cause)
		}
	}
}

func (w watched) mustGoOn() {
	w.Helper()
	if err, cause := w.lazy.Err(), w.lazy.causeOfEnd(); err != nil || cause != nil || context.Cause(w.lazy) != nil {
		w.Errorf("it has ended: %v, %v", err, cause)
	}
}

func TestLazyContextIsCancelled(t *testing.T) {
	t.Parallel()
	lazily(t, t.Context(), true, time.Hour, func(w watched) {
		w.mustGoOn()
		w.lazy.cancel(ErrLeaseLost)
		w.lazy.cancel(context.Canceled)
		w.mustEnd(context.Canceled, ErrLeaseLost)
	})
}

func TestLazyContextRunsOut(t *testing.T) {
	t.Parallel()
	for name, early := range map[string]bool{"Real": true, "Lazy": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := &lazyContext{parent: t.Context(), detached: true, deadline: time.Now().Add(time.Minute), timeout: ErrHandlerTimeout}
				if early {
					c.Done()
				}
				w := watched{t, c, early}
				time.Sleep(time.Minute - 1)
				w.mustGoOn()
				time.Sleep(1)
				synctest.Wait()
				c.cancel(context.Canceled) // too late to be the cause
				w.mustEnd(context.DeadlineExceeded, ErrHandlerTimeout)
			})
		})
	}
}

func TestLazyContextEndsWithItsParent(t *testing.T) {
	t.Parallel()
	cause := errors.New("client is gone")
	for _, detached := range []bool{true, false} {
		parent, cancel := context.WithCancelCause(context.WithValue(t.Context(), attemptKey{}, "attempt"))
		parent, stop := context.WithTimeout(parent, time.Hour)
		defer stop()
		lazily(t, parent, detached, 0, func(w watched) {
			deadline, ok := w.lazy.Deadline()
			if ok == detached || ok && time.Until(deadline) > time.Hour {
				w.Errorf("deadline %v, %t", deadline, ok)
			}
			if w.lazy.Value(attemptKey{}) != "attempt" {
				w.Error("the parent's value is gone")
			}
		})
		cancel(cause)
		lazily(t, parent, detached, 0, func(w watched) {
			if detached {
				w.mustGoOn()
				return
			}
			w.mustEnd(context.Canceled, cause)
		})
	}
}

// A child hangs on the context without a goroutine, whichever was first.
func TestChildOfALazyContext(t *testing.T) {
	t.Parallel()
	lazily(t, t.Context(), true, time.Hour, func(w watched) {
		child, cancel := context.WithTimeout(context.WithValue(w.lazy, attemptKey{}, 1), time.Minute)
		defer cancel()
		ended := make(chan struct{})
		context.AfterFunc(child, func() { close(ended) })
		w.lazy.cancel(ErrLeaseLost)
		<-ended
		if cause := context.Cause(child); !errors.Is(cause, ErrLeaseLost) {
			w.Errorf("cause %v", cause)
		}
	})
}
