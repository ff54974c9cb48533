package txstore_test

import (
	"slices"
	"testing"

	"github.com/pgidem/pgidem/txstore"
)

// locks returns how many sessions hold the lock of key in class.
func (w *world) locks(class int64, key string) int {
	w.Helper()
	return w.count(`
		SELECT count(*) FROM pg_locks
		WHERE locktype = 'advisory' AND granted AND objsubid = 2
		    AND mode = CASE WHEN $1::bigint = $3::bigint THEN 'ShareLock' ELSE 'ExclusiveLock' END
		    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
		    AND classid = $1::bigint::oid AND objid = $2::bigint::oid`,
		class, int64(uint32(w.number(key))), int64(txstore.WaitClass))
}

// hasRegistered tells whether some process will be told of the end of key's
// owner.
func (w *world) hasRegistered(key string) bool {
	w.Helper()
	return w.locks(txstore.WaitClass, key) > 0
}

// mustRegister waits until a waiter for key will hear of its owner's end, or polls
// where that is not to be had.
func (w *world) mustRegister(key string) {
	w.Helper()
	eventually(w.TB, "a waiter has registered", func() bool {
		return w.hasRegistered(key) || slices.ContainsFunc(*w.family, func(p *world) bool { return p.polls(key) })
	})
}

// number returns h of key.
func (w *world) number(key string) int32 {
	w.Helper()
	oid := w.count(`SELECT 'pgidem_records'::regclass::oid::bigint`)
	return txstore.KeyNumber(uint32(oid), key)
}

// A waiter looks when it has registered, and then sleeps until it is told or its
// poll comes. In particular its own looks do not wake it.
func TestWaiterDoesNotWakeItself(t *testing.T) {
	t.Parallel()
	needsLocks(t, "a waiter in another process registers with one, and is told through it")
	w := newWorld(t, given{})
	ear := w.ear()
	owner := w.attempt("k").mustBeFresh()
	first, second := w.process(given{Listens: true}), w.process(given{Listens: true})
	a, b := first.attempt("k").start(), second.attempt("k").start()
	eventually(t, "both have registered", func() bool { return w.locks(txstore.WaitClass, "k") == 2 })
	looks := func() int { return int(first.pool.Stat().AcquireCount() + second.pool.Stat().AcquireCount()) }
	before := looks()
	eventually(t, "each has polled", func() bool { return looks() >= before+4 })
	if n := ear.untilControl(w); n > 0 {
		t.Errorf("looks at a key in flight caused %d notifications", n)
	}
	owner.mustCommit("paid")
	for _, waiting := range []<-chan reserved{a, b} {
		if got := await(t, "the answer", waiting).body(); got != "paid" {
			t.Errorf("the waiter got %s", got)
		}
	}
}
