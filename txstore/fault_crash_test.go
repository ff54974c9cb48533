package txstore_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/internal/wiretap"
	"github.com/pgidem/pgidem/txstore"
)

func init() {
	children["statement"] = func(url string) { childInStatement(url) }
}

// childInStatement reserves a key and executes a statement without end.
func childInStatement(url string) {
	ctx := context.Background()
	pool, err := pgxpool.New(ctx, url)
	if err != nil {
		panic(err)
	}
	store, err := txstore.New(pool, asUnlocked(txstore.Config{}))
	if err != nil {
		panic(err)
	}
	ctx, _ = idem.WithAttempt(ctx, idem.AttemptConfig{MaxHandlerTime: time.Hour})
	if _, fresh, err := store.Reserve(ctx, "k", "h", time.Hour); !fresh || err != nil {
		panic(fmt.Sprint(fresh, err))
	}
	tx, _ := txstore.TxFromContext(ctx)
	if _, err := tx.Exec(ctx, insertPayment, "k"); err != nil {
		panic(err)
	}
	go func() {
		_, err := tx.Exec(ctx, "SELECT pg_sleep(3600)")
		panic(err)
	}()
	fmt.Println("reserved")
	select {}
}

// Behaviour 45. A process killed while the server executes its statement: the
// server finds out by itself, and the waiter has the key within its looking
// interval and one poll.
func TestKilledInTheMiddleOfAStatement(t *testing.T) {
	t.Parallel()
	needsLocks(t, "a waiter in another process registers with one, and is told through it")
	w := newWorld(t, given{})
	child := startChild(t, "statement", w.way)
	eventually(t, "the statement runs", func() bool {
		return w.count(`SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'`) == 1
	})
	waiting := w.attempt("k").start()
	w.mustRegister("k")
	if err := child.Kill(); err != nil {
		t.Fatal(err)
	}
	killed := time.Now()
	if got := await(t, "the waiter", waiting); !got.fresh {
		t.Fatalf("the waiter got %s, want it fresh", got.body())
	}
	if took := time.Since(killed); took > 8*time.Second {
		t.Errorf("the key was free after %v", took)
	}
	w.mustHold("k", 0, 0)
}

// Behaviour 45. The network of an idle transaction falls silent: the server ends
// it when the handler's time is over.
func TestSilentNetworkInTheHandler(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	p, proxy := w.tapped(given{Config: txstore.Config{CommitTimeout: time.Second, AcquireTimeout: 500 * time.Millisecond, ReserveTimeout: 500 * time.Millisecond}})
	const limit = 500 * time.Millisecond
	a := newAttempt(t, t.Context(), p.store, "k", idem.AttemptConfig{MaxHandlerTime: limit}).mustBeFresh()
	a.pay()
	proxy.Silence(wiretap.Client)
	proxy.Silence(wiretap.Server)
	begun := time.Now()
	waiting := w.attempt("k").start()
	if got := await(t, "the waiter", waiting); !got.fresh {
		t.Fatalf("the waiter got %s, want it fresh", got.body())
	}
	if took := time.Since(begun); took > limit+5*time.Second {
		t.Errorf("the key was free after %v", took)
	}
	if err := a.commit("paid"); !errors.Is(err, idem.ErrOutcomeUnknown) {
		t.Errorf("Commit through the silent network: %v, want ErrOutcomeUnknown", err)
	}
	proxy.Restore()
	eventually(t, "the pool has its connection back", func() bool { return p.pool.Stat().AcquiredConns() == 0 })
	w.mustHold("k", 0, 0)
}

// hungRequest sends a request whose handler calls hang, after it has written.
func (w *world) hungRequest(limit time.Duration, hang func(context.Context)) *http.Response {
	w.Helper()
	handler := idem.RESTMiddleware(idem.Config{Store: w.store, MaxHandlerTime: limit})(
		http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			tx, _ := txstore.TxFromContext(r.Context())
			if _, err := tx.Exec(r.Context(), insertPayment, "k"); err != nil {
				if r.Context().Err() == nil { // or its time was over before it began
					w.Errorf("insert: %v", err)
				}
				return
			}
			hang(r.Context())
		}))
	request := httptest.NewRequest(http.MethodPost, "/", strings.NewReader("{}"))
	request.Header.Set("Idempotency-Key", "k")
	answer := httptest.NewRecorder()
	within(w.TB, patience, "the answer", func() bool { handler.ServeHTTP(answer, request); return true })
	return answer.Result()
}

// hangs are ways of a handler not to return until over is closed.
var hangs = map[string]func(ctx context.Context, over chan struct{}){
	"Idle": func(_ context.Context, over chan struct{}) { <-over },
	"InAStatement": func(ctx context.Context, _ chan struct{}) {
		tx, _ := txstore.TxFromContext(ctx)
		_, _ = tx.Exec(context.Background(), "SELECT pg_sleep(3600)")
	},
	"BusyWithStatements": func(ctx context.Context, over chan struct{}) {
		for {
			select {
			case <-over:
				return
			default:
			}
			if tx, ok := txstore.TxFromContext(ctx); ok {
				var n int
				_ = tx.QueryRow(context.Background(), "SELECT 1").Scan(&n)
			}
		}
	},
	"WithOpenRows": func(ctx context.Context, over chan struct{}) {
		tx, _ := txstore.TxFromContext(ctx)
		rows, _ := tx.Query(context.Background(), "SELECT generate_series(1, 100000000)")
		for rows.Next() {
			select {
			case <-over:
				return
			default:
			}
		}
	},
	"WithOpenRowsAsleep": func(ctx context.Context, over chan struct{}) {
		tx, _ := txstore.TxFromContext(ctx)
		rows, _ := tx.Query(context.Background(), "SELECT generate_series(1, 100000000)")
		rows.Next()
		<-over
	},
}

// Behaviour 45. A handler that never returns loses key and connection to the
// others, whatever it is doing; and nobody's data races with it.
func TestHandlerThatNeverReturns(t *testing.T) {
	t.Parallel()
	for name, hang := range hangs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, given{Conns: 2})
			over := make(chan struct{})
			defer close(over)
			const limit = 300 * time.Millisecond
			for range 4 { // twice as often as there are connections
				answer := w.hungRequest(limit, func(ctx context.Context) { hang(ctx, over) })
				body, _ := io.ReadAll(answer.Body)
				_ = answer.Body.Close()
				if answer.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(body), "handler-timeout") {
					t.Errorf("answered %d %s", answer.StatusCode, body)
				}
			}
			begun := time.Now()
			a := w.attempt("k").mustBeFresh()
			if took := time.Since(begun); took > 5*time.Second {
				t.Errorf("the key was free after %v", took)
			}
			a.pay()
			a.mustCommit("paid")
			w.mustHold("k", 1, 1)
			eventually(t, "no connection is lost", func() bool { return w.pool.Stat().AcquiredConns() == 0 })
			eventually(t, "the server has ended the transactions", func() bool {
				return w.count(`SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state <> 'idle' AND pid <> pg_backend_pid() AND backend_type = 'client backend'`) == 0
			})
		})
	}
}
