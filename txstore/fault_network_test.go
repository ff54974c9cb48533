package txstore_test

import (
	"testing"
	"time"

	"github.com/pgidem/pgidem/txstore"
)

// Behaviour 24. The network is cut for a while, for listener and pool alike, and
// the key is let go of meanwhile. When it comes back every waiter ends right:
// with the record, or after a release one with the key and the others with its
// record.
func TestWaitersSurviveACutNetwork(t *testing.T) {
	needsLocks(t, "a waiter in another process registers with one, and is told through it")
	t.Parallel()
	for _, commits := range []bool{true, false} {
		t.Run(map[bool]string{true: "Commit", false: "Release"}[commits], func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, given{})
			a := w.attempt("k").mustBeFresh()
			p, proxy := w.tapped(given{Config: txstore.Config{PollInterval: 50 * time.Millisecond}})
			const waiters = 10
			type answer struct {
				ran  bool
				body string
				err  error
			}
			answers := make(chan answer, waiters)
			for range waiters {
				go func() {
					response, ran, err := run(t, p.store, "k", pay(t, "k", "paid"))
					answers <- answer{ran, string(response.Body), err}
				}()
			}
			p.mustRegister("k")
			p.mustFollow("k", waiters-1)
			proxy.Refuse(true)
			proxy.Cut()
			// Its first word is that the connection is lost; the polls of the
			// waiters, which tell nobody, are more frequent than its attempts.
			eventually(t, "the listener has tried in vain", func() bool { return len(p.troubles()) >= 4 })
			want := 0
			if commits {
				a.pay()
				a.mustCommit("paid")
			} else {
				a.mustRelease()
				want = 1
			}
			proxy.Refuse(false)
			ran := 0
			for range waiters {
				got := await(t, "a waiter's answer", answers)
				if got.err != nil || got.body != "paid" {
					t.Errorf("a waiter got %q, %v", got.body, got.err)
				}
				if got.ran {
					ran++
				}
			}
			if ran != want {
				t.Errorf("the handler ran %d times, want %d", ran, want)
			}
			w.mustHold("k", 1, 1)
		})
	}
}
