package idem_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pgidem/pgidem/idem"
)

// conflictStore undoes the first conflicts attempts as victims of a conflict.
func conflictStore(t testing.TB, conflicts int64) hookedStore {
	var commits atomic.Int64
	inner := transactionalStore{newMemory(t)}
	return hookedStore{Store: inner, commit: func(ctx context.Context) error {
		if commits.Add(1) > conflicts {
			return nil
		}
		a, _ := idem.AttemptFromContext(ctx)
		a.RequestRunAgain()
		return errors.Join(&idem.CommitError{Retryable: true, Err: errors.New("40001")}, inner.Release(ctx, "k"))
	}}
}

// Behaviour 40.
func TestRunAgain(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		conflicts int64
		maxRuns   int
		status    int
		runs      int64
	}{
		"NoConflict":       {0, 0, 201, 1},
		"OneConflict":      {1, 0, 201, 2},
		"TwoConflicts":     {2, 0, 201, 3},
		"TooMany":          {3, 0, 503, 3},
		"NeverAgain":       {1, 1, 503, 1},
		"MoreRunsIfWanted": {4, 5, 201, 5},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var l ledger
			var seen events
			cfg := idem.Config{Store: conflictStore(t, c.conflicts), MaxRuns: c.maxRuns, Observer: seen.observe}
			srv := serve(t, cfg, func(w http.ResponseWriter, r *http.Request) {
				run := l.runs.Add(1)
				l.insert(r.Context())
				body, err := io.ReadAll(r.Body)
				if err != nil || string(body) != "body" || r.Header.Get("X-Spoiled") != "" || r.URL.Path != "/payments" {
					t.Errorf("run %d got %q, %v, %v, %v", run, body, r.Header, r.URL, err)
				}
				r.Header.Set("X-Spoiled", "1")
				r.URL.Path = "/spoiled"
				if len(w.Header()) != 0 {
					t.Errorf("run %d began with header %v", run, w.Header())
				}
				w.Header().Add("X-Run", "1")
				w.WriteHeader(201)
				io.WriteString(w, "once") //nolint:errcheck // recorded
			})
			a := send(t, srv, request{key: "k", body: "body"})
			if a.status != c.status || l.runs.Load() != c.runs {
				t.Errorf("answer %+v after %d runs", a, l.runs.Load())
			}
			rows := int64(0)
			if c.status == 201 {
				rows = 1
				if a.body != "once" || len(a.header["X-Run"]) != 1 {
					t.Errorf("answer %+v", a)
				}
			} else if a.problem(t) != "commit-failed" {
				t.Errorf("problem %s", a.body)
			}
			if l.rows.Load() != rows {
				t.Errorf("%d rows, want %d", l.rows.Load(), rows)
			}
			if e := seen.wait(t, 1)[0]; int64(e.Runs) != c.runs {
				t.Errorf("event %+v", e)
			}
		})
	}
}

// A run that was undone after the wait was over still gets to the store.
func TestRunAgainAfterTheWaitIsOver(t *testing.T) {
	t.Parallel()
	var l ledger
	cfg := idem.Config{Store: conflictStore(t, 1), WaitTimeout: 10 * time.Millisecond}
	srv := serve(t, cfg, func(_ http.ResponseWriter, r *http.Request) {
		l.runs.Add(1)
		l.insert(r.Context())
		<-time.After(20 * time.Millisecond) // the handler's work
	})
	if a := send(t, srv, request{key: "k"}); a.status != 200 || l.runs.Load() != 2 || l.rows.Load() != 1 {
		t.Errorf("answer %+v after %d runs, %d rows", a, l.runs.Load(), l.rows.Load())
	}
}

// A writer that a run has left to a goroutine must not write into the response
// of the next run.
func TestWriterOfAnEarlierRunIsDead(t *testing.T) {
	t.Parallel()
	var runs atomic.Int64
	var first http.ResponseWriter
	srv := serve(t, idem.Config{Store: conflictStore(t, 1)}, func(w http.ResponseWriter, _ *http.Request) {
		if runs.Add(1) == 1 {
			first = w
			return
		}
		if _, err := io.WriteString(first, "stray"); !errors.Is(err, http.ErrHandlerTimeout) {
			t.Errorf("stray write: %v", err)
		}
		io.WriteString(w, "clean") //nolint:errcheck // recorded
	})
	if a := send(t, srv, request{key: "k"}); a.body != "clean" {
		t.Errorf("answer %+v", a)
	}
}

// Behaviour 40.
func TestSuperseded(t *testing.T) {
	t.Parallel()
	inner := newMemory(t)
	var l ledger
	var lost atomic.Bool
	store := transactionalStore{hookedStore{Store: inner, commit: func(ctx context.Context) error {
		if !lost.CompareAndSwap(false, true) {
			return nil
		}
		// Another attempt's record takes the place of this one.
		err := inner.Commit(ctx, "k", "fixed", idem.Cached{Status: 202, Body: []byte("the other's")})
		return errors.Join(idem.ErrSuperseded, err)
	}}}
	srv := serve(t, idem.Config{Store: store, RequestHash: fixedHash}, func(w http.ResponseWriter, r *http.Request) {
		l.runs.Add(1)
		l.insert(r.Context())
		io.WriteString(w, "the loser's") //nolint:errcheck // recorded
	})
	a := send(t, srv, request{key: "k"})
	if a.status != 202 || a.body != "the other's" || !a.replayed() {
		t.Errorf("answer %+v", a)
	}
	if l.runs.Load() != 1 || l.rows.Load() != 0 {
		t.Errorf("%d runs, %d rows", l.runs.Load(), l.rows.Load())
	}
}

func fixedHash(*http.Request) (string, error) { return "fixed", nil }

// However many runs are allowed, and whichever end they come to, the client is
// told that they came to nothing and that it may ask again, and never that
// nothing was run.
//
// Behaviour 40.
func TestSupersededWithoutEnd(t *testing.T) {
	t.Parallel()
	for _, maxRuns := range []int{1, 3, 12} {
		t.Run(strconv.Itoa(maxRuns), func(t *testing.T) {
			t.Parallel()
			var l ledger
			var seen events
			inner := transactionalStore{newMemory(t)}
			store := hookedStore{Store: inner, commit: func(ctx context.Context) error {
				return errors.Join(idem.ErrSuperseded, inner.Release(ctx, "k"))
			}}
			cfg := idem.Config{Store: store, MaxRuns: maxRuns, Observer: seen.observe}
			srv := serve(t, cfg, func(_ http.ResponseWriter, r *http.Request) {
				l.runs.Add(1)
				l.insert(r.Context())
			})
			a := send(t, srv, request{key: "k"})
			if a.status != 503 || a.problem(t) != "commit-failed" || a.header.Get("Retry-After") == "" {
				t.Errorf("answer %+v", a)
			}
			if l.rows.Load() != 0 || l.runs.Load() != int64(maxRuns) {
				t.Errorf("%d rows, %d runs", l.rows.Load(), l.runs.Load())
			}
			e := seen.wait(t, 1)[0]
			var commit *idem.CommitError
			if e.Outcome != "commit-failed" || e.Runs != maxRuns || !errors.As(e.Err, &commit) || !commit.Retryable || !errors.Is(e.Err, idem.ErrSuperseded) {
				t.Errorf("event %+v", e)
			}
		})
	}
}

// A store that cannot be reached for another run does not say that there was
// none; and where another attempt's record has undone it, not that nothing has
// taken effect.
//
// Behaviour 40.
func TestStoreIsLostBetweenRuns(t *testing.T) {
	t.Parallel()
	superseded := hookedStore{
		Store:  transactionalStore{newMemory(t)},
		commit: func(context.Context) error { return idem.ErrSuperseded },
	}
	for want, store := range map[string]hookedStore{
		"commit-failed":   conflictStore(t, 1),
		"outcome-unknown": superseded,
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			var l ledger
			var seen events
			var reserves atomic.Int64
			store.reserve = func(context.Context) error {
				if reserves.Add(1) == 1 {
					return nil
				}
				return idem.ErrStoreUnavailable
			}
			cfg := idem.Config{Store: store, FailOpen: true, Observer: seen.observe}
			srv := serve(t, cfg, func(_ http.ResponseWriter, r *http.Request) {
				l.runs.Add(1)
				l.insert(r.Context())
			})
			a := send(t, srv, request{key: "k"})
			if a.status != 503 || a.problem(t) != want || l.runs.Load() != 1 || l.rows.Load() != 0 {
				t.Errorf("answer %+v, %d runs, %d rows", a, l.runs.Load(), l.rows.Load())
			}
			e := seen.wait(t, 1)[0]
			if string(e.Outcome) != want || e.Runs != 1 || !errors.Is(e.Err, idem.ErrStoreUnavailable) {
				t.Errorf("event %+v", e)
			}
		})
	}
}
