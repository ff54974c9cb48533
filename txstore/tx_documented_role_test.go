package txstore_test

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/internal/pgserver/pgtest"
	"github.com/pgidem/pgidem/migrations"
	"github.com/pgidem/pgidem/txstore"
)

// documentedWorld is a database whose roles are those of docs/security.md, under
// names of the test's own: roles belong to the whole server.
type documentedWorld struct {
	*world
	suffix string
}

var documentedRoles = []string{"pgidem_migrator", "pgidem_app", "pgidem_sweeper", "pgidem_listener"}

func newDocumentedWorld(t *testing.T) *documentedWorld {
	t.Helper()
	w := &documentedWorld{world: newWorld(t, given{URL: pgtest.EmptyURL(t)})}
	u, err := url.Parse(w.url)
	if err != nil {
		t.Fatal(err)
	}
	w.suffix = "_" + strings.ToLower(strings.TrimPrefix(u.Path, "/"))
	t.Cleanup(w.dropRoles)
	w.execDocumented("administrator", w.url)
	migrator := w.as("pgidem_migrator")
	if err := migrations.Up(t.Context(), migrator+"&search_path=pgidem"); err != nil {
		t.Fatal(err)
	}
	w.execDocumented("migrator", migrator)
	w.exec(`CREATE TABLE payments (id serial PRIMARY KEY, key text NOT NULL, n int NOT NULL)`)
	w.exec(`GRANT ALL ON payments, payments_id_seq TO ` + w.role("pgidem_app"))
	w.exec(`ALTER ROLE ` + w.role("pgidem_app") + ` SET search_path = public, pgidem`)
	return w
}

func (w *documentedWorld) role(name string) string { return pgx.Identifier{name + w.suffix}.Sanitize() }

func (w *documentedWorld) dropRoles() {
	for _, name := range documentedRoles {
		sql := `DROP OWNED BY ` + w.role(name) + ` CASCADE; DROP ROLE ` + w.role(name)
		if _, err := w.admin.Exec(context.Background(), sql, pgx.QueryExecModeSimpleProtocol); err != nil {
			w.Errorf("%s: %v", sql, err)
		}
	}
}

// as returns the URL of the database for one of the roles.
func (w *documentedWorld) as(name string) string {
	u, err := url.Parse(w.url)
	if err != nil {
		w.Fatal(err)
	}
	u.User = url.UserPassword(name+w.suffix, "…")
	return u.String()
}

// execDocumented executes a block of the document under the test's names.
func (w *documentedWorld) execDocumented(block, asURL string) {
	w.Helper()
	conn, err := pgx.Connect(w.Context(), asURL)
	if err != nil {
		w.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	for _, sql := range documented(w.TB, block) {
		for _, name := range documentedRoles {
			sql = strings.ReplaceAll(sql, name, w.role(name))
		}
		if _, err := conn.Exec(w.Context(), sql); err != nil {
			w.Fatalf("%s: %v", sql, err)
		}
	}
}

// open returns a Store that works as one of the roles.
func (w *documentedWorld) open(name string, config txstore.Config) *world {
	w.Helper()
	config.Schema = "pgidem"
	return w.process(given{URL: w.as(name), Config: config})
}

// mustHold is the world's, on the table in the schema of the document.
func (w *documentedWorld) mustHold(key string, payments, records int) {
	w.Helper()
	p, r := w.payments(key), w.count(`SELECT count(*) FROM pgidem.pgidem_records WHERE key = $1 AND status IS NOT NULL`, key)
	if p != payments || r != records {
		w.Errorf("key %q has %d payments and %d records, want %d and %d", key, p, r, payments, records)
	}
}

// listener returns the address that Config.ListenConn takes.
func (w *documentedWorld) listener() *pgx.ConnConfig {
	w.Helper()
	config, err := pgx.ParseConfig(w.as("pgidem_listener"))
	if err != nil {
		w.Fatal(err)
	}
	return config
}

// useAll goes through all that a service does, and a waiter that depends on
// being told.
func (w *documentedWorld) useAll(config txstore.Config) {
	w.Helper()
	service := w.open("pgidem_app", config)
	there := w.open("pgidem_app", config)
	for _, key := range []string{"first", "second"} {
		a := service.attempt(key).mustBeFresh()
		a.pay()
		eventually(w.TB, "nobody waits any more", func() bool { return w.waitLocks() == 0 })
		waiting := there.attempt(key).start()
		eventually(w.TB, "the waiter is registered", func() bool { return w.waitLocks() == 1 })
		a.mustCommit("paid")
		if got := await(w.TB, "the waiter", waiting); got.body() != "paid" {
			w.Errorf("the waiter got %s", got.body())
		}
		w.mustHold(key, 1, 1)
		w.exec(`UPDATE pgidem.pgidem_records SET expires_at = now() WHERE key = $1`, key)
	}
	again := service.attempt("first").mustBeFresh() // removes what has expired
	again.mustCommit("again")
	service.attempt("released").mustBeFresh().mustRelease()
	ctx, tx := service.begin(pgx.TxOptions{})
	service.within(ctx, "caller").mustBeFresh().mustCommit("caller's")
	mustEnd(w.TB, tx.Commit)
	service.attempt("caller").mustReplay("caller's")
	for _, troubles := range [][]error{service.troubles(), there.troubles()} {
		if len(troubles) > 0 {
			w.Errorf("told to OnError: %v", troubles)
		}
	}
}

// useLeases goes through what a service does with leases.
func (w *documentedWorld) useLeases() {
	w.Helper()
	service := w.open("pgidem_app", txstore.Config{Lease: time.Second})
	store := service.store.Leased()
	a := newAttempt(w.TB, w.Context(), store, "leased", idem.AttemptConfig{}).mustBeFresh()
	began := w.count(`SELECT (extract(epoch FROM leased_until) * 1000000)::int8 FROM pgidem.pgidem_records WHERE key = 'leased'`)
	eventually(w.TB, "the lease is renewed", func() bool {
		return w.count(`SELECT (extract(epoch FROM leased_until) * 1000000)::int8 FROM pgidem.pgidem_records WHERE key = 'leased'`) > began
	})
	a.mustCommit("sent")
	newAttempt(w.TB, w.Context(), store, "leased", idem.AttemptConfig{}).mustReplay("sent")
	newAttempt(w.TB, w.Context(), store, "failed", idem.AttemptConfig{}).mustBeFresh().mustRelease()
	newAttempt(w.TB, w.Context(), store, "failed", idem.AttemptConfig{}).mustBeFresh().mustRelease()
}

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

// sweeps demands that a role removes what is over, and makes tombstones small.
func (w *documentedWorld) sweeps(role string) {
	w.Helper()
	service := w.open("pgidem_app", txstore.Config{})
	service.attempt("alive").mustBeFresh().mustCommit("alive")
	newAttempt(w.TB, w.Context(), service.store, "remembered", idem.AttemptConfig{RememberExpired: time.Hour}).mustBeFresh().mustCommit("old")
	service.attempt("over").mustBeFresh().mustCommit("old")
	w.exec(`UPDATE pgidem.pgidem_records SET expires_at = now() WHERE key <> 'alive'`)
	if n, err := w.open(role, txstore.Config{}).store.Sweep(w.Context()); n < 1 || err != nil {
		w.Errorf("Sweep as %s = %d, %v", role, n, err)
	}
	left := w.count(`SELECT count(*) FROM pgidem.pgidem_records`)
	small := w.count(`SELECT count(*) FROM pgidem.pgidem_records WHERE key = 'remembered' AND body IS NULL`)
	if left != 2 || small != 1 {
		w.Errorf("Sweep as %s left %d rows, %d small tombstones; want 2 and 1", role, left, small)
	}
	w.exec(`DELETE FROM pgidem.pgidem_records`)
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

// revoke takes a function away from everybody who was not given it by name.
func (w *documentedWorld) revoke(function string) {
	w.Helper()
	w.exec(`REVOKE EXECUTE ON FUNCTION pg_catalog.` + function + ` FROM PUBLIC`)
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
