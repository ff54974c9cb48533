package txstore_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgidem/pgidem/idem"
)

// lease writes a lease row by hand, as a leased attempt leaves it.
func (w *world) lease(key string, left time.Duration) {
	w.Helper()
	w.exec(`INSERT INTO pgidem_records (attempt_id, leased_until, format, key, request_hash)
		VALUES (gen_random_uuid(), clock_timestamp() + $2 * interval '1 microsecond', 1, $1, 'h')`, key, left.Microseconds())
}

// Behaviours 27, 47.
func TestLiveLeaseKeepsATransactionalAttemptOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{Config: hourlyPoll})
	const lease = 1500 * time.Millisecond
	w.lease("k", lease)
	began := time.Now()
	ctx, tx := w.begin(pgx.TxOptions{})
	w.within(ctx, "k").mustFail(idem.ErrInFlight)
	mustEnd(t, tx.Rollback)
	w.mustSweep(0)
	// The end of the lease wakes the waiter, no notification and no poll does.
	r := within(t, 5*time.Second, "the end of the lease", func() reserved { return <-w.attempt("k").start() })
	if !r.fresh {
		t.Fatalf("the waiter got %s, want it fresh", r.body())
	}
	if waited := time.Since(began); waited < lease-100*time.Millisecond {
		t.Errorf("fresh after %v, with %v of lease left", waited, lease)
	}
}

// Behaviour 47.
func TestStaleLeaseIsReplacedByTheRecord(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	w.lease("k", -time.Second)
	a := w.attempt("k").mustBeFresh()
	a.pay()
	a.mustCommit("paid")
	w.attempt("k").mustReplay("paid")
	w.mustHold("k", 1, 1)
}

// Behaviour 47. The owner of the lease comes back, renews it or completes it,
// while the transactional attempt that has seen it stale is running.
func TestLeaseThatRevivesSupersedesTheTransaction(t *testing.T) {
	t.Parallel()
	complete := `UPDATE pgidem_records SET leased_until = NULL, stored_at = now(), expires_at = now() + interval '1 hour', status = 200, header = '\x00', body = 'leased'`
	for name, sql := range map[string]string{
		"renewed":   `UPDATE pgidem_records SET leased_until = now() + interval '1 hour'`,
		"completed": complete,
	} {
		for _, disposition := range []string{"CommitAll", "CommitResponse"} {
			t.Run(name+" "+disposition, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, given{})
				w.lease("k", -time.Second)
				a := w.attempt("k").mustBeFresh()
				a.pay()
				w.exec(sql)
				if disposition == "CommitResponse" {
					respondOnly(a)
				}
				mustBeSuperseded(t, a)
				w.mustHold("k", 0, map[string]int{"completed": 1}[name])
				if name == "completed" {
					w.attempt("k").mustReplay("leased")
				}
			})
		}
	}
}

// Behaviour 48. A look under a lease takes the key's lock and gives it back; were
// waiters told of that, each look would call for the next, without end.
func TestWaitUnderALeaseIsQuiet(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{Config: hourlyPoll})
	w.lease("k", time.Second)
	if r := await(t, "the end of the lease", w.attempt("k").start()); !r.fresh {
		t.Fatalf("the waiter got %s, want it fresh", r.body())
	}
	// The first look, one when it had registered, one at the lease's end, and
	// room for one that came too early by a rounded millisecond.
	if n := w.pool.Stat().AcquireCount(); n > 5 {
		t.Errorf("the waiter looked %d times during one lease", n)
	}
}
