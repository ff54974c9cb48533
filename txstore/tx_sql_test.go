package txstore_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgidem/pgidem/idem"
)

// Behaviour 44.
func TestHandlerEndsTheTransactionByText(t *testing.T) {
	t.Parallel()
	for _, sql := range []string{`rollback`, `commit`, `rollback; begin`, `commit; begin`, `commit and chain`, `rollback and chain`} {
		for _, mode := range execModes {
			t.Run(sql+" "+mode.String(), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, given{Mode: mode, Conns: 1})
				w.warm()
				a := w.attempt("k").mustBeFresh()
				a.pay()
				if _, err := a.tx().Conn().PgConn().Exec(a.ctx, sql).ReadAll(); err != nil {
					t.Fatal(err)
				}
				if err := a.commit("paid"); !errors.Is(err, idem.ErrTransactionEnded) {
					t.Errorf("Commit after %q = %v, want ErrTransactionEnded", sql, err)
				}
				if n := w.records("k"); n != 0 {
					t.Errorf("%d records after %q, want none", n, sql)
				}
				w.attempt("k").mustBeFresh().mustCommit("now")
			})
		}
	}
}

// Behaviour 44. The promise of CommitResponse is that the writes are undone.
func TestResponseIsNotKeptWhenItsWritesCannotBeUndone(t *testing.T) {
	t.Parallel()
	for _, sql := range []string{`commit`, `commit; begin`, `commit and chain`} {
		t.Run(sql, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, given{})
			a := w.attempt("k").mustBeFresh()
			a.pay()
			if _, err := a.tx().Conn().PgConn().Exec(a.ctx, sql).ReadAll(); err != nil {
				t.Fatal(err)
			}
			idem.SetDisposition(a.ctx, idem.CommitResponse)
			if err := a.commit("refused"); !errors.Is(err, idem.ErrTransactionEnded) {
				t.Errorf("Commit after %q = %v, want ErrTransactionEnded", sql, err)
			}
		})
	}
}

// Behaviour 44.
func TestHandlerChangesSettings(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		sql     string
		refused bool // a clear error is as good as a success
	}{
		{sql: `SET TIME ZONE 'Asia/Kathmandu'`},
		{sql: `SET LOCAL TIME ZONE 'America/St_Johns'`},
		{sql: `SET DateStyle = 'SQL, DMY'`},
		{sql: `SET IntervalStyle = 'sql_standard'`},
		{sql: `SET bytea_output = 'escape'`},
		{sql: `SET extra_float_digits = -15`},
		{sql: `SET LOCAL search_path = theirs`},
		{sql: `SET search_path = theirs`},
		{sql: `SET default_transaction_read_only = on`},
		{sql: `SET default_transaction_isolation = 'serializable'`},
		{sql: `SET idle_in_transaction_session_timeout = '1h'`},
		{sql: `RESET ALL`},
		{sql: `SET LOCAL ROLE pg_read_all_data`, refused: true},
		{sql: `SET TRANSACTION READ ONLY`, refused: true},
		{sql: `SET LOCAL transaction_read_only = on`, refused: true},
	} {
		for _, mode := range execModes {
			t.Run(c.sql+" "+mode.String(), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, given{Mode: mode, Conns: 1})
				// A trap for a record that lost its way.
				w.exec(`CREATE SCHEMA theirs`)
				w.exec(`CREATE TABLE theirs.pgidem_records (LIKE pgidem_records INCLUDING ALL)`)
				a := w.attempt("k").mustBeFresh()
				a.pay()
				if err := a.exec(c.sql); err != nil {
					t.Fatal(err)
				}
				body := "\x00\\x00 binary \xff"
				if err := a.commit(body); c.refused {
					var refused *idem.CommitError
					if !errors.As(err, &refused) {
						t.Errorf("Commit = %v, want a CommitError", err)
					}
					w.mustHold("k", 0, 0)
					w.attempt("k").mustBeFresh().mustRelease()
					return
				} else if err != nil {
					t.Fatalf("Commit: %v", err)
				}
				w.mustHold("k", 1, 1)
				// On the same connection, with what is left of the settings.
				w.attempt("k").mustReplay(body)
				w.attempt("next").mustBeFresh().mustCommit(body)
				w.attempt("next").mustReplay(body)
			})
		}
	}
}

// endings are ways in which a handler ends the store's transaction, begins another
// and has a statement fail in that, where nothing shows it any more.
var endings = map[string]func(a *attempt){
	"a list": func(a *attempt) { _ = a.exec(`commit; begin;`, pgx.QueryExecModeSimpleProtocol) },
	"end":    func(a *attempt) { _ = a.exec("SELECT 1;\nEND TRANSACTION; BEGIN", pgx.QueryExecModeSimpleProtocol) },
	"a list that fails": func(a *attempt) {
		_ = a.exec("commit; begin;\nselect 1/0", pgx.QueryExecModeSimpleProtocol)
	},
	"chain":       func(a *attempt) { _ = a.exec("COMMIT AND CHAIN;\n") },
	"chain query": func(a *attempt) { _ = a.tx().QueryRow(a.ctx, `commit and chain`).Scan() },
	"batch": func(a *attempt) {
		b := &pgx.Batch{}
		b.Queue(`commit`)
		b.Queue(`begin`)
		_ = a.tx().SendBatch(a.ctx, b).Close()
	},
	"prepared": func(a *attempt) {
		_, _ = a.tx().Prepare(a.ctx, "theirs", `commit and chain -- at once`)
		_ = a.exec(`theirs`)
	},
	"rows, then begin": func(a *attempt) {
		_ = a.tx().QueryRow(a.ctx, `commit`).Scan()
		_ = a.exec(`begin`)
	},
}

const conflict = `DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '40001'; END $$`

// Behaviour 44. In a transaction that has failed no statement can find out whose it
// is. The writes stand: no answer says that they were undone, and the handler does
// not run again.
func TestFailedStatementHidesNoEndedTransaction(t *testing.T) {
	t.Parallel()
	for name, end := range endings {
		for _, disposition := range []idem.Disposition{idem.CommitAll, idem.CommitResponse} {
			t.Run(fmt.Sprint(name, " ", disposition), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, given{})
				a := w.attempt("k").mustBeFresh()
				a.pay()
				end(a)
				_ = a.exec(conflict)
				if a.tx().Conn().PgConn().TxStatus() != 'E' {
					t.Fatal("no statement has failed")
				}
				idem.SetDisposition(a.ctx, disposition)
				if err := a.commit("answered"); !errors.Is(err, idem.ErrTransactionEnded) || a.core.RunAgain() {
					t.Errorf("Commit = %v, run again %t; want ErrTransactionEnded", err, a.core.RunAgain())
				}
				w.mustHold("k", 1, 0)
			})
		}
		t.Run(name+" release", func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, given{})
			a := w.attempt("k").mustBeFresh()
			end(a)
			_ = a.exec(conflict)
			if a.mustRelease(); a.core.RunAgain() {
				t.Error("it is to run again")
			}
		})
	}
}

// Behaviours 18, 41, 44. What ends no transaction raises no doubt.
func TestListOfStatementsMayFail(t *testing.T) {
	t.Parallel()
	for _, sql := range []string{
		`SELECT 1; SELECT 'it; commit; depends';`, `SELECT n AS chain FROM payments ORDER BY chain`,
		`UPDATE payments SET n = 2; DO $$ BEGIN PERFORM 1; END; $$;`, `SAVEPOINT s; ROLLBACK TO s; SELECT CASE WHEN true THEN 1 END;`,
	} {
		t.Run(sql, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, given{})
			failed := func(key, failure string) (*attempt, error) {
				a := w.attempt(key).mustBeFresh()
				a.pay()
				if err := a.exec(sql, pgx.QueryExecModeSimpleProtocol); err != nil {
					t.Fatal(err)
				}
				_ = a.exec(failure)
				idem.SetDisposition(a.ctx, idem.CommitResponse)
				return a, a.commit("refused")
			}
			if _, err := failed("kept", `SELECT 1/0`); err != nil {
				t.Errorf("Commit: %v", err)
			}
			w.mustHold("kept", 0, 1)
			if again, _ := failed("again", conflict); !again.core.RunAgain() {
				t.Error("the victim of a conflict is not to run again")
			}
		})
	}
}

// Behaviour 44. The server takes the bytes of a key for what client_encoding says.
func TestKeyIsRecordedAsItselfInEveryEncoding(t *testing.T) {
	t.Parallel()
	for _, sql := range []string{`SET LOCAL client_encoding = 'LATIN1'`, `SET client_encoding = 'LATIN1'`, `SET NAMES 'WIN1252'`} {
		for key, refused := range map[string]bool{"café": true, "cafe": false} {
			t.Run(sql+" "+key, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, given{Conns: 1})
				a := w.attempt(key).mustBeFresh()
				a.pay()
				if err := a.exec(sql); err != nil {
					t.Fatal(err)
				}
				if err := a.commit("paid"); errors.Is(err, idem.ErrTransactionFailed) != refused || !refused && err != nil {
					t.Errorf("Commit = %v", err)
				}
				want := map[bool]int{false: 2}[refused]
				if n := w.count(`SELECT count(*) FROM pgidem_records`) + w.payments(key); n != want {
					t.Errorf("%d records and payments, want %d", n, want)
				}
			})
		}
	}
}

// Behaviour 44. As above, where the setting was left on a connection by others, or
// the pool itself makes it.
func TestKeyIsFoundInASessionWithAnotherEncoding(t *testing.T) {
	t.Parallel()
	const key = "café"
	for name, door := range map[string]func(*world) idem.Store{
		"transaction": func(w *world) idem.Store { return w.store },
		"lease":       func(w *world) idem.Store { return w.store.Leased() },
	} {
		for _, used := range []bool{false, true} {
			t.Run(fmt.Sprint(name, " used before ", used), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, given{})
				w.attempt(key).mustBeFresh().mustCommit("paid")
				p := w.process(given{Conns: 1})
				if used {
					p.attempt("other").mustBeFresh().mustRelease()
				}
				if _, err := p.pool.Exec(t.Context(), `SET client_encoding = 'LATIN1'`); err != nil {
					t.Fatal(err)
				}
				newAttempt(t, t.Context(), door(p), "ascii", idem.AttemptConfig{}).mustBeFresh().mustRelease()
				newAttempt(t, t.Context(), door(p), key, idem.AttemptConfig{}).mustReplay("paid")
			})
		}
		t.Run(name+" always", func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, given{Pool: func(c *pgxpool.Config) { c.ConnConfig.RuntimeParams["client_encoding"] = "LATIN1" }})
			newAttempt(t, t.Context(), door(w), "ascii", idem.AttemptConfig{}).mustBeFresh().mustCommit("paid")
			_, fresh, err := newAttempt(t, t.Context(), door(w), key, idem.AttemptConfig{}).reserve()
			if fresh || !errors.Is(err, idem.ErrStoreUnavailable) || !strings.Contains(err.Error(), "client_encoding LATIN1") {
				t.Errorf("Reserve = %t, %v; want an error that names the setting", fresh, err)
			}
		})
	}
}

// Nor is another key's record found by retries that look before all else.
func TestGlanceSpellsItsKey(t *testing.T) {
	t.Parallel()
	const key, theirs = "café", "cafÃ©" // which is what LATIN1 makes of it
	w := newWorld(t, given{Conns: 1})
	w.attempt(theirs).mustBeFresh().mustCommit("theirs")
	for range 50 { // until retries are most of the traffic
		w.attempt(theirs).mustReplay("theirs")
	}
	if _, err := w.pool.Exec(t.Context(), `SET client_encoding = 'LATIN1'`); err != nil {
		t.Fatal(err)
	}
	w.attempt(key).mustBeFresh().mustCommit("paid")
	w.attempt(key).mustReplay("paid")
}
