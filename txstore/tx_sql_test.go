package txstore_test

import (
	"errors"
	"testing"

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
