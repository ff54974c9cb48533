package main

import (
	"fmt"
	"time"
)

// promise is what a store is held to. The zero value is the strictest: one
// payment for each key, and one answer.
type promise struct {
	store string
	// perProcess: the store knows nothing of other processes, so each of the
	// lives is held to the promise alone.
	perProcess bool
	lives      int
	// lease is how long a key stays in flight whose process was killed; 0: it is
	// free at once. Under a lease payment and record are two commits: the
	// killed process may have made the one and not the other, and then a retry
	// pays again.
	lease  time.Duration
	killed string // the killed process's name in the ledger; empty: none
}

func promiseOf(o options, went course) promise {
	p := promise{store: o.store, perProcess: o.store == storeMemory, lives: went.lives}
	if o.leased() {
		p.lease = o.lease
	}
	if went.killed != 0 {
		p.killed = processName(went.killed)
	}
	return p
}

// forbids says why a key must not have these payments, in the order of their
// entry; empty if it may.
func (p promise) forbids(wanted *payment, made []entry) string {
	often := fmt.Sprintf("the payment was made %d times", len(made))
	switch {
	case len(made) < 2, p.perProcess && len(made) <= p.lives:
		return ""
	case p.lease == 0:
		return often
	case len(made) > 2 || p.killed == "" || made[0].Process != p.killed || made[1].Process == p.killed:
		return often + writers(made)
	case gap(made) < wanted.hold:
		return fmt.Sprintf("the second payment came %v after the first, whose handler was held %v: two attempts were alive",
			gap(made), wanted.hold)
	}
	return ""
}

func writers(made []entry) string {
	text := ", by"
	for _, m := range made {
		text += fmt.Sprintf(" %q", m.Process)
	}
	return text
}

// gap is the time from the first payment of a key to the second, by the
// database's clock.
func gap(made []entry) time.Duration { return made[1].CreatedAt.Sub(made[0].CreatedAt) }

// note says what a good verdict means for a store that promises less than one
// payment for each key; empty for the one that does not.
func (v *verdict) note() string {
	switch {
	case v.promise.perProcess:
		return memoryNote(v)
	case v.promise.lease > 0:
		return leaseNote(v)
	}
	return ""
}

func memoryNote(v *verdict) string {
	return fmt.Sprintf(`
STORE=memory promises one execution for each key inside one process, and that
held: in each of the %d process lives a key had one payment and one answer.
It promises nothing between processes and nothing after a restart. Those %d
duplicates and %d reused keys that were not refused are what that means for
money: behind two processes take the store that they share, STORE=postgres.`, v.promise.lives, v.duplicates, v.reused)
}

func leaseNote(v *verdict) string {
	return fmt.Sprintf(`
STORE=%s promises at most one live attempt for each key, and one answer, and
that held: no two handlers of a key were alive at once, all clients of a key got
the same bytes, and nothing was paid again but what the killed process had paid.
It does not promise one payment where a process dies between the payment and
its record: that befell %d of %d keys, which a retry paid again when the lease
of %v had ended. For money in PostgreSQL take STORE=postgres, which commits both
or neither.`, v.promise.store, v.again, v.keys, v.promise.lease)
}
