package txstore_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgidem/pgidem/idem"
)

// Behaviour 51. A handler that deallocates by pgx's own means, which prepares
// anew what pgx needs, does not have its COMMIT refused for ever: once at most on
// each connection.
func TestHandlerThatDeallocatesEachTime(t *testing.T) {
	t.Parallel()
	for _, mode := range execModes {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, given{Mode: mode, Conns: 1})
			for i := range 4 {
				key := fmt.Sprintf("k-%d", i)
				a := w.attempt(key).mustBeFresh()
				if err := a.tx().Conn().DeallocateAll(t.Context()); err != nil {
					t.Fatal(err)
				}
				a.pay()
				err := a.commit("paid")
				var refused *idem.CommitError
				switch {
				case err == nil:
					w.mustHold(key, 1, 1)
				case i > 0 || !errors.As(err, &refused) || !refused.Retryable:
					t.Errorf("Commit %d: %v", i, err)
				}
			}
		})
	}
}

// Behaviour 51. What the user has prepared on the pool's connections survives a
// change of the records table.
func TestSchemaChangeKeepsTheUsersPreparedStatements(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{Conns: 1, Pool: func(c *pgxpool.Config) {
		c.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
			_, err := conn.Prepare(ctx, "pay", insertPayment)
			return err
		}
	}})
	w.warm()
	w.exec(`ALTER TABLE pgidem_records ALTER COLUMN status TYPE bigint`)
	a := w.attempt("k").mustBeFresh()
	if err := a.exec("pay", "k"); err != nil {
		t.Fatal(err)
	}
	a.mustCommit("paid")
	w.mustHold("k", 1, 1)
}

// Behaviour 51. A pool whose hook takes the prepared statements from each
// connection has none that a Reserve could go to instead, and needs none.
func TestPoolThatDiscardsPreparedStatements(t *testing.T) {
	t.Parallel()
	for name, hook := range map[string]func(*pgx.Conn) error{
		"DeallocateAll": func(conn *pgx.Conn) error { return conn.DeallocateAll(context.Background()) },
		"DISCARD ALL": func(conn *pgx.Conn) error {
			return conn.PgConn().Exec(context.Background(), "DISCARD ALL").Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, given{Conns: 12, Pool: func(c *pgxpool.Config) {
				c.AfterRelease = func(conn *pgx.Conn) bool { return hook(conn) == nil }
			}})
			var clients sync.WaitGroup
			for client := range 16 {
				clients.Go(func() {
					for i := range 10 {
						a := w.attempt(fmt.Sprintf("k-%d-%d", client, i))
						if _, fresh, err := a.reserve(); !fresh || err != nil {
							t.Errorf("Reserve = %t, %v; want it fresh", fresh, err)
						} else if err := a.commit("paid"); err != nil {
							t.Errorf("Commit: %v", err)
						}
					}
				})
			}
			clients.Wait()
			if n := w.count(`SELECT count(*) FROM pgidem_records`); n != 160 {
				t.Errorf("%d records, want 160", n)
			}
		})
	}
}
