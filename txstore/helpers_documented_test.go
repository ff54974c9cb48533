package txstore_test

import (
	"context"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

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

// revoke takes a function away from everybody who was not given it by name.
func (w *documentedWorld) revoke(function string) {
	w.Helper()
	w.exec(`REVOKE EXECUTE ON FUNCTION pg_catalog.` + function + ` FROM PUBLIC`)
}
