package txstore_test

import (
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgidem/pgidem/txstore"
)

// Behaviour 28. The rights that docs/security.md grants are enough for all that
// each role does.
func TestDocumentedRolesAreEnough(t *testing.T) {
	needsLocks(t, "a waiter in another process registers with one, and is told through it")
	t.Parallel()
	w := newDocumentedWorld(t)
	w.useAll(txstore.Config{PollInterval: time.Hour})
	w.exec(`DELETE FROM pgidem.pgidem_records; DELETE FROM payments`, pgx.QueryExecModeSimpleProtocol)
	w.useAll(txstore.Config{PollInterval: time.Hour, ListenConn: w.listener()})
	w.useLeases()
	w.sweeps("pgidem_sweeper")
	w.sweeps("pgidem_app")
}

// What a role is not said to be able to do, it cannot.
func TestDocumentedRolesCanDoNoMore(t *testing.T) {
	t.Parallel()
	w := newDocumentedWorld(t)
	w.open("pgidem_app", txstore.Config{}).attempt("k").mustBeFresh().mustCommit("paid")
	for role, refused := range map[string][]string{
		"pgidem_migrator": {`SELECT FROM payments`, `DELETE FROM payments`},
		"pgidem_app": {
			`TRUNCATE pgidem.pgidem_records`, `DROP TABLE pgidem.pgidem_records`, `ALTER TABLE pgidem.pgidem_records ADD x int`,
			`CREATE TABLE pgidem.x ()`, `SELECT FROM pgidem.pgidem_schema_migrations`, `ALTER TABLE pgidem.pgidem_records DISABLE TRIGGER ALL`,
		},
		"pgidem_sweeper": {
			`SELECT key FROM pgidem.pgidem_records`, `SELECT request_hash FROM pgidem.pgidem_records`, `SELECT header FROM pgidem.pgidem_records`,
			`INSERT INTO pgidem.pgidem_records SELECT * FROM pgidem.pgidem_records`, `UPDATE pgidem.pgidem_records SET status = 200`,
			`UPDATE pgidem.pgidem_records SET expires_at = 'infinity'`, `TRUNCATE pgidem.pgidem_records`, `SELECT FROM payments`,
		},
		"pgidem_listener": {`SELECT FROM pgidem.pgidem_records`, `DELETE FROM pgidem.pgidem_records`, `SELECT FROM payments`},
	} {
		conn, err := pgx.Connect(t.Context(), w.as(role))
		if err != nil {
			t.Fatal(err)
		}
		for _, sql := range refused {
			_, err := conn.Exec(t.Context(), sql)
			var pgErr *pgconn.PgError
			if !errors.As(err, &pgErr) || pgErr.Code != "42501" {
				t.Errorf("%s as %s: %v, want it refused for want of rights", sql, role, err)
			}
		}
		_ = conn.Close(t.Context())
	}
	w.mustHold("k", 0, 1)
}

// Behaviour 28.
func TestTransactionalServiceNeedsNoUpdate(t *testing.T) {
	needsLocks(t, "a waiter in another process registers with one, and is told through it")
	t.Parallel()
	w := newDocumentedWorld(t)
	w.execDocumented("transactional only", w.as("pgidem_migrator"))
	w.useAll(txstore.Config{PollInterval: time.Hour})
}

// Behaviours 23, 28. Without a function nothing runs that should not, and with
// the documented grants all is as before.
func TestRevokedFunctions(t *testing.T) {
	needsLocks(t, "it revokes them")
	t.Parallel()
	all := []string{
		"pg_try_advisory_xact_lock(integer, integer)", "pg_notify(text, text)",
		"pg_try_advisory_lock_shared(integer, integer)", "pg_advisory_unlock_shared(integer, integer)",
	}
	t.Run("Granted", func(t *testing.T) {
		t.Parallel()
		w := newDocumentedWorld(t)
		for _, function := range all {
			w.revoke(function)
		}
		w.execDocumented("functions", w.url)
		w.useAll(txstore.Config{PollInterval: time.Hour})
		w.exec(`DELETE FROM pgidem.pgidem_records; DELETE FROM payments`, pgx.QueryExecModeSimpleProtocol)
		w.useAll(txstore.Config{PollInterval: time.Hour, ListenConn: w.listener()})
	})
	t.Run("LockOfTheKey", func(t *testing.T) {
		t.Parallel()
		w := newDocumentedWorld(t)
		w.revoke(all[0])
		for _, config := range []txstore.Config{{}, {DisableLocks: true}} {
			service := w.open("pgidem_app", config)
			if config.DisableLocks {
				a := service.attempt("k").mustBeFresh()
				a.pay()
				a.mustCommit("paid")
				w.mustHold("k", 1, 1)
			} else if _, fresh, err := service.attempt("k").reserve(); fresh || err == nil {
				t.Errorf("Reserve = %t, %v; want an error", fresh, err)
			}
		}
	})
	t.Run("LockOfWaiters", func(t *testing.T) {
		t.Parallel()
		w := newDocumentedWorld(t)
		w.revoke(all[2])
		a := w.open("pgidem_app", txstore.Config{}).attempt("k").mustBeFresh()
		there := w.open("pgidem_app", txstore.Config{})
		waiting := there.attempt("k").start()
		eventually(t, "the waiter has looked", func() bool { return there.pool.Stat().AcquireCount() >= 2 })
		a.mustCommit("paid")
		if got := await(t, "the waiter", waiting); got.body() != "paid" {
			t.Errorf("the waiter got %s", got.body())
		}
	})
}

// Behaviours 28, 40. Whatever right is missing: there is no payment without its
// record, and nobody is told of one.
func TestRevokedTableRights(t *testing.T) {
	t.Parallel()
	for _, right := range []string{"SELECT", "INSERT", "DELETE"} {
		t.Run(right, func(t *testing.T) {
			t.Parallel()
			w := newDocumentedWorld(t)
			service := w.open("pgidem_app", txstore.Config{})
			service.attempt("expired").mustBeFresh().mustCommit("old")
			w.exec(`UPDATE pgidem.pgidem_records SET expires_at = now()`)
			w.exec(`REVOKE ` + right + ` ON pgidem.pgidem_records FROM ` + w.role("pgidem_app"))
			a := service.attempt("expired") // its Commit needs all three
			_, fresh, err := a.reserve()
			if fresh {
				a.pay()
				err = a.commit("paid")
			}
			if err == nil {
				t.Error("an attempt without the right succeeded")
			}
			w.mustHold("expired", 0, 1)
			eventually(t, "its connection is free", func() bool { return service.pool.Stat().AcquiredConns() == 0 })
		})
	}
}
