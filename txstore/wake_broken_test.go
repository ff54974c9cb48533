package txstore_test

import (
	"errors"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgidem/pgidem/idem"
)

// brokenWakes are bodies for pg_notify: ways in which a wake check goes wrong.
var brokenWakes = map[string]string{
	"OutOfLocks":       `RAISE EXCEPTION 'out of shared memory' USING ERRCODE = '53200';`,
	"StatementTimeout": `PERFORM pg_catalog.pg_sleep(60);`,
	"Terminated":       `PERFORM pg_catalog.pg_terminate_backend(pg_catalog.pg_backend_pid());`,
}

// breakWakes makes every notification in the world's database go wrong. The
// server's own function is renamed: replaced, it would go on to be executed, since
// a built-in one is found by its number.
func (w *world) breakWakes(body string) {
	w.Helper()
	w.exec(`ALTER FUNCTION pg_catalog.pg_notify(text, text) RENAME TO pg_notify_built_in`)
	w.exec(`CREATE FUNCTION pg_catalog.pg_notify(text, text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN ` + body + ` END $$`)
}

// impatient sessions end a statement that takes too long.
func impatient(config *pgxpool.Config) {
	config.ConnConfig.RuntimeParams["statement_timeout"] = "1s"
}

// Behaviour 42. Whatever goes wrong behind a COMMIT that was answered: its client
// has its success, the record is there, and the waiter finds it by itself.
func TestBrokenWakeCheckDoesNotSpoilASuccess(t *testing.T) {
	needsLocks(t, "a waiter in another process registers with one, and is told through it")
	t.Parallel()
	for name, body := range brokenWakes {
		for door, prepare := range map[string]func(*world, *attempt){
			"CommitAll":      func(_ *world, a *attempt) { a.mustBeFresh(); a.pay() },
			"CommitResponse": func(_ *world, a *attempt) { a.mustBeFresh(); a.pay(); respondOnly(a) },
			"Leased":         func(w *world, a *attempt) { a.store = w.store.Leased(); a.mustBeFresh() },
		} {
			t.Run(name+" "+door, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, given{})
				w.breakWakes(body)
				service := w.process(given{Conns: 1, Pool: impatient})
				a := service.attempt("k")
				prepare(service, a)
				_, waiting := w.waiter("k", given{})
				a.mustCommit("paid")
				w.mustHold("k", map[string]int{"CommitAll": 1}[door], 1)
				if got := await(t, "the waiter", waiting); got.body() != "paid" {
					t.Errorf("the waiter got %s, want the record at its next poll", got.body())
				}
				service.attempt("next").mustBeFresh().mustCommit("next")
			})
		}
	}
}

// Behaviours 42, 48. A release whose wake check goes wrong has released: the
// waiter has the key at its next poll.
func TestBrokenWakeCheckOfARelease(t *testing.T) {
	needsLocks(t, "a waiter in another process registers with one, and is told through it")
	t.Parallel()
	for name, body := range brokenWakes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, given{})
			w.breakWakes(body)
			service := w.process(given{Conns: 1, Pool: impatient})
			a := service.attempt("k").mustBeFresh()
			a.pay()
			_, waiting := w.waiter("k", given{})
			if err := a.release(); errors.Is(err, idem.ErrOutcomeUnknown) {
				t.Errorf("Release: %v", err)
			}
			if got := await(t, "the waiter", waiting); !got.fresh {
				t.Errorf("the waiter got %s, want the key", got.body())
			}
			w.mustHold("k", 0, 0)
			service.attempt("next").mustBeFresh().mustRelease()
		})
	}
}
