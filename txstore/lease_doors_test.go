package txstore_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/txstore"
)

// leasedAttempt is an attempt through the Store's other door.
func (w *world) leasedAttempt(key string) *attempt {
	return newAttempt(w.TB, w.Context(), w.store.Leased(), key, idem.AttemptConfig{MaxHandlerTime: patience})
}

// opener makes an attempt on a key, through one of the doors.
type opener func(*world, string) *attempt

// Behaviour 27. Whoever came first, through whichever door, here or elsewhere:
// the other one waits, and gets the record or, after a release, the key.
func TestDoorsExcludeEachOther(t *testing.T) {
	needsLocks(t, "only they keep attempts of two processes apart before the first commits")
	t.Parallel()
	doors := map[string]struct{ first, second opener }{
		"Transactional first": {(*world).attempt, (*world).leasedAttempt},
		"Leased first":        {(*world).leasedAttempt, (*world).attempt},
	}
	for name, d := range doors {
		for where, elsewhere := range map[string]bool{"": false, ", elsewhere": true} {
			t.Run(name+where, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, given{})
				p := w
				if elsewhere {
					p = w.process(given{})
				}
				owner := d.first(w, "released").mustBeFresh()
				waiter, waiting := p.waitsBehind(w, "released", d.second)
				owner.mustRelease()
				if got := await(t, "the waiter", waiting); !got.fresh {
					t.Fatalf("the waiter got %s, want it fresh", got.body())
				}
				waiter.mustCommit("second")
				d.first(w, "released").mustReplay("second")

				owner = d.first(w, "committed").mustBeFresh()
				_, waiting = p.waitsBehind(w, "committed", d.second)
				owner.mustCommit("first")
				if got := await(t, "the waiter", waiting); got.body() != "first" {
					t.Errorf("the waiter got %s", got.body())
				}
				if n := w.count(`SELECT count(*) FROM pgidem_records`); n != 2 {
					t.Errorf("there are %d records, want 2", n)
				}
			})
		}
	}
}

// waitsBehind makes an attempt on a key that one in owner's process has: who does
// not wait is refused, in a caller's transaction too, and the attempt waits.
func (w *world) waitsBehind(owner *world, key string, open opener) (*attempt, <-chan reserved) {
	w.Helper()
	refused := open(w, key)
	refused.ctx, refused.core = idem.WithAttempt(w.Context(), idem.AttemptConfig{NoWait: true})
	refused.mustFail(idem.ErrInFlight)
	ctx, tx := w.begin(pgx.TxOptions{})
	w.within(ctx, key).mustFail(idem.ErrInFlight)
	mustEnd(w.TB, tx.Rollback)
	before := txstore.Followers(w.store, key)
	waiter := open(w, key)
	waiting := waiter.start()
	if w == owner {
		w.mustFollow(key, before+1)
	} else {
		w.mustRegister(key)
	}
	return waiter, waiting
}

// Behaviours 9, 35. Under a lease: renewed while the handler runs, one effect, its
// caller gets the answer, and duplicates in two processes get it as a replay.
func TestLeasedHandlerSlowerThanItsLeaseRunsOnce(t *testing.T) {
	t.Parallel()
	config := txstore.Config{Lease: time.Second}
	w := newWorld(t, given{Config: config})
	there := w.process(given{Config: config})
	var runs atomic.Int32
	started := make(chan struct{})
	serve := func(p *world) *httptest.Server {
		server := httptest.NewServer(idem.RESTMiddleware(idem.Config{Store: p.store.Leased()})(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if runs.Add(1) == 1 {
				close(started)
			}
			select {
			case <-time.After(3 * config.Lease): // the handler's own work
			case <-r.Context().Done():
				t.Errorf("the handler was cancelled: %v", context.Cause(r.Context()))
			}
			w.exec(insertPayment, "k")
			rw.WriteHeader(http.StatusCreated)
			_, _ = io.WriteString(rw, "sent")
		})))
		t.Cleanup(server.Close)
		return server
	}
	here, elsewhere := &service{world: w, url: serve(w).URL}, &service{world: there, url: serve(there).URL}
	posted := func(s *service) <-chan reply {
		done := make(chan reply, 1)
		go func() { done <- s.post("/", "k") }()
		return done
	}
	first := posted(here)
	await(t, "the handler's start", started)
	second, third := posted(elsewhere), posted(here)
	if got := await(t, "the first answer", first); got != (reply{http.StatusCreated, "sent", false}) {
		t.Errorf("the first caller got %+v", got)
	}
	for _, duplicate := range []<-chan reply{second, third} {
		if got := await(t, "a duplicate's answer", duplicate); got != (reply{http.StatusCreated, "sent", true}) {
			t.Errorf("a duplicate got %+v", got)
		}
	}
	if n := runs.Load(); n != 1 {
		t.Errorf("the handler ran %d times", n)
	}
	w.mustHold("k", 1, 1)
}

// Behaviour 9. With a limit on the handler the renewing ends by itself, so that
// one which never returns does not hold its key for ever; and its late word
// changes nothing.
func TestLeaseOfAHandlerThatNeverReturnsEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{Config: txstore.Config{Lease: time.Second}})
	a := newAttempt(t, t.Context(), w.store.Leased(), "k", idem.AttemptConfig{MaxHandlerTime: 300 * time.Millisecond}).mustBeFresh()
	next := w.leasedAttempt("k").mustBeFresh() // waits for the lease to end
	if err := a.commit("late"); !errors.Is(err, idem.ErrLeaseLost) {
		t.Errorf("Commit of the stale owner: %v, want ErrLeaseLost", err)
	}
	next.mustCommit("next")
	w.leasedAttempt("k").mustReplay("next")
}
