package txstore_test

import (
	"errors"
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

// Behaviour 28.
func TestRoleWithTheFourRightsOnTheTableIsEnough(t *testing.T) {
	t.Parallel()
	needsLocks(t, "a waiter in another process registers with one, and is told through it")
	for _, mode := range execModes {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, given{})
			service := w.process(given{URL: w.login(), Mode: mode})
			a := service.attempt("k").mustBeFresh()
			a.pay()
			_, waiting := w.waiter("k", given{URL: service.url, Config: hourlyPoll})
			a.mustCommit("paid")
			if got := within(t, 5*time.Second, "the waiter", func() reserved { return <-waiting }); got.body() != "paid" {
				t.Errorf("the waiter got %s, want the record", got.body())
			}
			w.expire("k")
			if n, err := service.store.Sweep(t.Context()); n != 1 || err != nil {
				t.Errorf("Sweep = %d, %v; want 1", n, err)
			}
			w.attempt("k").mustBeFresh().mustRelease()
			if len(service.troubles()) > 0 {
				t.Errorf("told to OnError: %v", service.troubles())
			}
		})
	}
}

// Behaviour 28.
func TestMissingTableSaysToRunTheMigrations(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{URL: pgtest.EmptyURL(t)})
	sweep := func() error { _, err := w.store.Sweep(t.Context()); return err }
	reserve := func() error { _, _, err := w.attempt("k").reserve(); return err }
	for name, call := range map[string]func() error{"Sweep": sweep, "Reserve": reserve} {
		err := call()
		if !errors.Is(err, idem.ErrStoreUnavailable) || !strings.Contains(err.Error(), "run the migrations") {
			t.Errorf("%s without a table: %v, want to hear of the migrations", name, err)
		}
	}
	if err := migrations.Up(t.Context(), w.url); err != nil {
		t.Fatal(err)
	}
	w.attempt("k").mustBeFresh().mustCommit("paid")
	w.attempt("k").mustReplay("paid")
}

// Behaviour 28. It was there, was dropped under a living Store, and comes back.
func TestTableDroppedAndMadeAgain(t *testing.T) {
	t.Parallel()
	for _, mode := range execModes {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, given{Mode: mode, Conns: 2})
			w.warm()
			if err := migrations.Down(t.Context(), w.url); err != nil {
				t.Fatal(err)
			}
			_, fresh, err := w.attempt("k").reserve()
			if fresh || !errors.Is(err, idem.ErrStoreUnavailable) || !strings.Contains(err.Error(), "run the migrations") {
				t.Errorf("Reserve without a table = %t, %v; want to hear of the migrations", fresh, err)
			}
			if err := migrations.Up(t.Context(), w.url); err != nil {
				t.Fatal(err)
			}
			a := w.attempt("k").mustBeFresh()
			a.pay()
			a.mustCommit("paid")
			w.mustHold("k", 1, 1)
			w.attempt("k").mustReplay("paid")
		})
	}
}

// Behaviour 28. With no request in between nobody has missed it: its keys' numbers are
// others all the same, and a Store that sweeps learns them.
func TestSweepNoticesThatTheTableWasMadeAgain(t *testing.T) {
	t.Parallel()
	needsLocks(t, "only they keep attempts of two processes apart before the first commits")
	w := newWorld(t, given{})
	w.warm()
	if err := migrations.Down(t.Context(), w.url); err != nil {
		t.Fatal(err)
	}
	if err := migrations.Up(t.Context(), w.url); err != nil {
		t.Fatal(err)
	}
	w.seed("expired", 3, true)
	w.mustSweep(3)
	w.attempt("k").mustBeFresh()
	newAttempt(t, t.Context(), w.process(given{}).store, "k", idem.AttemptConfig{NoWait: true}).mustFail(idem.ErrInFlight)
}

// Behaviours 26, 28. The one that has the name now is swept whole, however small the
// other was.
func TestSweepOfATableThatHasTakenTheName(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	w.warm()
	for _, sql := range []string{
		`ALTER TABLE pgidem_records RENAME TO renamed_away`,
		`ALTER INDEX pgidem_records_pkey RENAME TO renamed_away_pkey`,
		`CREATE TABLE pgidem_records (LIKE renamed_away INCLUDING DEFAULTS)`,
		`ALTER TABLE pgidem_records ADD CONSTRAINT pgidem_records_pkey PRIMARY KEY (key)`,
	} {
		w.exec(sql)
	}
	const expired = 6000
	w.seed("expired", expired, true)
	w.mustSweep(expired)
}

// A table that has gone to another schema is found there, after one sweep in vain.
func TestSweepOfATableThatHasMoved(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	w.exec(`DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = second, public', current_database()); END $$`)
	p := w.process(given{})
	p.warm()
	w.seed("expired", 3, true)
	w.exec(`CREATE SCHEMA second`)
	w.exec(`ALTER TABLE pgidem_records SET SCHEMA second`)
	if _, err := p.store.Sweep(t.Context()); !errors.Is(err, idem.ErrStoreUnavailable) {
		t.Errorf("Sweep = %v, want ErrStoreUnavailable", err)
	}
	p.mustSweep(3)
}

// Behaviour 51.
func TestSchemaChangeUnderCachedStatements(t *testing.T) {
	t.Parallel()
	for _, mode := range execModes {
		for _, sql := range []string{
			`ALTER TABLE pgidem_records ALTER COLUMN status TYPE bigint`, // 0A000: another result type
			`ALTER TABLE pgidem_records ADD COLUMN note text`,
		} {
			t.Run(mode.String()+" "+sql, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, given{Mode: mode, Conns: 1})
				w.warm()
				w.exec(sql)
				a := w.attempt("k").mustBeFresh()
				a.pay()
				a.mustCommit("paid")
				w.attempt("k").mustReplay("paid")
				w.mustHold("k", 1, 1)
			})
		}
	}
}

// Behaviour 51.
func TestPreparedStatementsTakenAwayByTheHandler(t *testing.T) {
	t.Parallel()
	for _, mode := range execModes {
		for _, warm := range []bool{false, true} {
			t.Run(mode.String()+map[bool]string{false: " cold", true: " warm"}[warm], func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, given{Mode: mode, Conns: 1})
				if warm {
					w.warm()
				}
				a := w.attempt("k").mustBeFresh()
				a.pay()
				if err := a.exec(`DEALLOCATE ALL`); err != nil {
					t.Fatal(err)
				}
				if err := a.commit("paid"); err != nil {
					var refused *idem.CommitError
					if !errors.As(err, &refused) || !refused.Retryable {
						t.Errorf("Commit = %v, want a success or a retryable CommitError", err)
					}
					w.mustHold("k", 0, 0)
					again := w.attempt("k").mustBeFresh()
					again.pay()
					again.mustCommit("paid")
				}
				w.mustHold("k", 1, 1)
				w.attempt("k").mustReplay("paid")
			})
		}
	}
}

// Behaviour 51. DISCARD ALL cannot be sent in a transaction; somebody who
// borrowed the connection has sent it before it came to us.
func TestPreparedStatementsDiscardedBetweenRequests(t *testing.T) {
	t.Parallel()
	for _, mode := range execModes {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, given{Mode: mode, Conns: 1})
			w.warm()
			discard := func() {
				if _, err := w.pool.Exec(t.Context(), `DISCARD ALL`, pgx.QueryExecModeSimpleProtocol); err != nil {
					t.Fatal(err)
				}
			}
			discard()
			a := w.attempt("k").mustBeFresh()
			a.pay()
			a.mustCommit("paid")
			discard()
			w.attempt("k").mustReplay("paid")
			discard()
			if _, err := w.store.Sweep(t.Context()); err != nil {
				t.Errorf("Sweep: %v", err)
			}
		})
	}
}

// twoSchemas gives the world a second records table, and returns a Store on it.
func (w *world) twoSchemas() *world {
	w.Helper()
	w.exec(`CREATE SCHEMA second`)
	w.exec(`CREATE TABLE second.pgidem_records (LIKE pgidem_records INCLUDING ALL)`)
	w.exec(`ALTER TABLE second.pgidem_records RENAME CONSTRAINT pgidem_records_pkey TO x`)
	w.exec(`ALTER TABLE second.pgidem_records RENAME CONSTRAINT x TO pgidem_records_pkey`)
	return w.process(given{Config: txstore.Config{Schema: "second"}})
}

// Behaviour 49.
func TestTwoServicesWithTheSameKeyDoNotWaitForEachOther(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	second := w.twoSchemas()
	outer := w.attempt("k").mustBeFresh()
	called := newAttempt(t, t.Context(), second.store, "k", idem.AttemptConfig{NoWait: true}).mustBeFresh()
	called.pay()
	called.mustCommit("called")
	outer.pay()
	outer.mustCommit("outer")
	w.mustHold("k", 2, 1)
	second.attempt("k").mustReplay("called")
	w.attempt("k").mustReplay("outer")
}

// Behaviours 43, 49. The other service's collision is not ours.
func TestCollisionInTheOtherSchemaIsNotOurs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	second := w.twoSchemas()
	second.attempt("k").mustBeFresh().mustCommit("second")
	a := w.attempt("k").mustBeFresh()
	err := a.exec(`INSERT INTO second.pgidem_records SELECT * FROM second.pgidem_records`)
	if err == nil {
		t.Fatal("the collision did not come")
	}
	if err := a.commit("paid"); !errors.Is(err, idem.ErrTransactionFailed) {
		t.Errorf("Commit = %v, want ErrTransactionFailed", err)
	}
}

// Behaviours 21, 49. A transaction that leads elsewhere is the first that the Store
// sees: neither its record nor any later one goes there.
func TestCallersSearchPathDoesNotRedirectTheRecord(t *testing.T) {
	t.Parallel()
	for _, mode := range execModes {
		for _, sql := range []string{
			`SET LOCAL search_path = second, public`,
			`SET LOCAL search_path = pg_catalog`, // finds none
			`SET LOCAL ROLE service`,             // whose name is that of a schema
		} {
			t.Run(mode.String()+" "+sql, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, given{})
				w.twoSchemas()
				if strings.Contains(sql, "ROLE") {
					role := w.role()
					w.exec(`ALTER SCHEMA second RENAME TO ` + role)
					w.exec(`GRANT USAGE ON SCHEMA ` + role + ` TO ` + role)
					sql = `SET LOCAL ROLE ` + role
				}
				p := w.process(given{Mode: mode})
				ctx, tx := p.begin(pgx.TxOptions{})
				if _, err := tx.Exec(ctx, sql); err != nil {
					t.Fatal(err)
				}
				a := p.within(ctx, "caller's").mustBeFresh()
				a.mustCommit("paid")
				mustEnd(t, tx.Commit)
				w.attempt("caller's").mustReplay("paid")

				elsewhere := w.attempt("later").mustBeFresh()
				elsewhere.mustCommit("elsewhere")
				p.attempt("later").mustReplay("elsewhere")
			})
		}
	}
}

// Behaviour 21. Where no other connection can be asked, the caller hears what to
// do, soon, and its transaction goes on; without need no other is asked.
func TestCallerHasTheLastConnection(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ schema, sql string }{
		"search_path of its own":          {"", `SET LOCAL search_path = second, public`},
		"search_path as it was":           {"", `SET LOCAL lock_timeout = '1s'`},
		"search_path beside the Schema's": {"public", `SET LOCAL search_path = second, public`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, given{Conns: 1, Config: txstore.Config{Schema: c.schema, AcquireTimeout: 100 * time.Millisecond}})
			w.twoSchemas()
			ctx, tx := w.begin(pgx.TxOptions{})
			if _, err := tx.Exec(ctx, c.sql); err != nil {
				t.Fatal(err)
			}
			_, fresh, err := w.within(ctx, "k").reserve()
			if name == "search_path of its own" {
				if !errors.Is(err, idem.ErrStoreUnavailable) || !strings.Contains(err.Error(), "set Config.Schema") {
					t.Errorf("Reserve = %t, %v; want to hear of Config.Schema", fresh, err)
				}
			} else if !fresh || err != nil {
				t.Errorf("Reserve = %t, %v; want it fresh", fresh, err)
			}
			if _, err := tx.Exec(ctx, insertPayment, "k"); err != nil {
				t.Error(err)
			}
			mustEnd(t, tx.Commit)
		})
	}
}

// Behaviour 49. With search_path in place of Config.Schema.
func TestSearchPathFindsTheTable(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	w.twoSchemas()
	u, err := url.Parse(w.url)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set("search_path", "second,public")
	u.RawQuery = q.Encode()
	w.process(given{URL: u.String()}).attempt("k").mustBeFresh().mustCommit("paid")
	if n := w.count(`SELECT count(*) FROM second.pgidem_records`); n != 1 {
		t.Errorf("%d records in the first schema of the path, want 1", n)
	}
	w.mustHold("k", 0, 0)
}
