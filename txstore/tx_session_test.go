package txstore_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgidem/pgidem/txstore"
)

// A transaction is what Config.IsoLevel says, and may write, whatever the session
// has by default; and that costs no round trip, but the first time.
func TestTransactionIsAsConfiguredInEverySession(t *testing.T) {
	t.Parallel()
	for _, iso := range []pgx.TxIsoLevel{pgx.ReadCommitted, pgx.RepeatableRead} {
		for name, value := range map[string]string{
			"default_transaction_isolation": "serializable", "default_transaction_read_only": "on",
			"client_connection_check_interval": "500ms",
		} {
			t.Run(string(iso)+" "+name, func(t *testing.T) {
				t.Parallel()
				p, proxy := newWorld(t, given{}).tapped(given{Conns: 1, Config: txstore.Config{IsoLevel: iso}, Pool: func(c *pgxpool.Config) {
					c.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
						_, err := conn.Exec(ctx, "SELECT set_config($1::text, $2::text, false)", name, value)
						return err
					}
				}})
				request := func(key string) {
					a := p.attempt(key).mustBeFresh()
					var is string
					if err := a.tx().QueryRow(t.Context(), "SELECT current_setting('transaction_isolation')").Scan(&is); err != nil || is != string(iso) {
						t.Errorf("the transaction is %q, error %v", is, err)
					}
					a.pay()
					a.mustCommit("paid")
					p.mustHold(key, 1, 1)
				}
				request("warm")
				if n := trips(proxy, func() { request("k") }); n != 4 {
					t.Errorf("took %d round trips, want 4: two of them are the handler's", n)
				}
			})
		}
	}
}

// The moment that a follower is handed in memory is the record's own, however the
// session writes times.
func TestFollowerIsHandedTheMomentOfTheRecord(t *testing.T) {
	t.Parallel()
	for _, mode := range execModes {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, given{Mode: mode, Pool: func(c *pgxpool.Config) {
				c.ConnConfig.RuntimeParams["datestyle"] = "German"
				c.ConnConfig.RuntimeParams["timezone"] = "Asia/Kathmandu"
			}})
			a := w.attempt("k").mustBeFresh()
			following := w.attempt("k").start()
			eventually(t, "it follows", func() bool { return txstore.Followers(w.store, "k") == 1 })
			a.pay()
			a.mustCommit("paid")
			got := await(t, "the follower", following).existing.StoredAt
			if want := w.count(`SELECT (extract(epoch FROM stored_at) * 1000000)::bigint FROM pgidem_records`); got.UnixMicro() != int64(want) {
				t.Errorf("handed %v, recorded %d", got.UnixMicro(), want)
			}
		})
	}
}

// observedBatches is a tracer of batches.
type observedBatches struct {
	mu               sync.Mutex
	began, ended     int
	statements, tags []string
	args             int
}

func (*observedBatches) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return ctx
}
func (*observedBatches) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (o *observedBatches) TraceBatchStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceBatchStartData) context.Context {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.began++
	for _, q := range data.Batch.QueuedQueries {
		o.statements = append(o.statements, q.SQL)
		o.args += len(q.Arguments)
	}
	return context.WithValue(ctx, o, o.began)
}

func (o *observedBatches) TraceBatchQuery(ctx context.Context, _ *pgx.Conn, data pgx.TraceBatchQueryData) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if ctx.Value(o) == o.began {
		o.tags = append(o.tags, strings.Fields(data.SQL)[0]+" "+data.CommandTag.String())
	}
	o.args += len(data.Args)
}

func (o *observedBatches) TraceBatchEnd(ctx context.Context, _ *pgx.Conn, data pgx.TraceBatchEndData) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if data.Err == nil && ctx.Value(o) == o.began {
		o.ended++
	}
}

// A pool's tracer sees the Store's statements like any other, and nothing of what
// a request says.
func TestTracerSeesTheStatements(t *testing.T) {
	t.Parallel()
	seen := &observedBatches{}
	w := newWorld(t, given{Pool: func(c *pgxpool.Config) { c.ConnConfig.Tracer = seen }})
	w.attempt("k").mustBeFresh().mustCommit("paid")
	seen.mu.Lock()
	defer seen.mu.Unlock()
	if seen.began != 2 || seen.ended != 2 || len(seen.statements) != 5 {
		t.Errorf("%d batches began, %d ended well, with the statements %q", seen.began, seen.ended, seen.statements)
	}
	if want := []string{"BEGIN BEGIN", "SELECT SELECT 1", "-- SELECT 0", "-- INSERT 0 1", "COMMIT COMMIT"}; !slices.Equal(seen.tags, want) {
		t.Errorf("command tags %q, want %q", seen.tags, want)
	}
	if seen.args != 0 {
		t.Errorf("%d parameters were shown", seen.args)
	}
}
