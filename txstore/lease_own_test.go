package txstore_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/internal/wiretap"
	"github.com/pgidem/pgidem/txstore"
)

// A Reserve whose reply was lost finds its own lease when it is repeated, also if
// somebody else has the key's lock in that moment.
//
// Behaviour 48.
func TestLeaseDoesNotWaitForItself(t *testing.T) {
	t.Parallel()
	needsLocks(t, "the key's lock is what is in the way")
	w := newWorld(t, given{})
	p, proxy := w.tapped(given{Config: txstore.Config{Lease: time.Hour}})
	p.warm()
	other, err := w.admin.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Release()
	h := w.number("k")
	var once sync.Once
	proxy.Intercept(func(m wiretap.Message) (v wiretap.Verdict) {
		if m.From == wiretap.Server && m.Type == 'C' && strings.HasPrefix(string(m.Body), "COMMIT") {
			once.Do(func() {
				if _, err := other.Exec(context.Background(), `SELECT pg_advisory_lock($1, $2)`, txstore.KeyClass, h); err != nil {
					t.Error(err)
				}
				v = wiretap.CutBefore
			})
		}
		return v
	})
	reserving := newAttempt(t, t.Context(), p.store.Leased(), "k", idem.AttemptConfig{}).start()
	eventually(t, "the second try has met the lock", func() bool { return p.polls("k") || p.hasRegistered("k") })
	if _, err := other.Exec(t.Context(), `SELECT pg_advisory_unlock($1, $2)`, txstore.KeyClass, h); err != nil {
		t.Error(err)
	}
	if r := await(t, "Reserve", reserving); !r.fresh {
		t.Errorf("the lease is its own, and Reserve says %v", r.err)
	}
}

// A renewal that meets the Commit or the Release of its own attempt is no lost
// lease.
//
// Behaviour 9.
func TestRenewalThatMeetsItsOwnEndIsNoLostLease(t *testing.T) {
	t.Parallel()
	const lease = 1200 * time.Millisecond // far more than any call takes, also on a busy machine
	var lost atomic.Int32
	w := newWorld(t, given{Config: txstore.Config{Lease: lease, OnError: func(err error) {
		if errors.Is(err, idem.ErrLeaseLost) {
			lost.Add(1)
		}
	}}})
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			for i := range 10 {
				a := newAttempt(t, t.Context(), w.store.Leased(), fmt.Sprint(g, "-", i), idem.AttemptConfig{}).mustBeFresh()
				time.Sleep(lease/3 + time.Duration(i%10-5)*100*time.Microsecond)
				if i%2 == 0 {
					a.mustCommit("paid")
				} else {
					a.mustRelease()
				}
			}
		})
	}
	await(t, "all", closed(&all))
	if n := lost.Load(); n > 0 {
		t.Errorf("%d leases are said to be lost that their owners ended", n)
	}
}
