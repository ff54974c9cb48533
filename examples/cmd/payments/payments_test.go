package main

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgidem/pgidem/internal/pgserver"
	"github.com/pgidem/pgidem/internal/pgserver/pgtest"
)

// ledger looks into the database past the servers.
type ledger struct {
	t    *testing.T
	pool *pgxpool.Pool
}

func (l ledger) number(sql string, args ...any) (n int64) {
	l.t.Helper()
	if err := l.pool.QueryRow(l.t.Context(), sql, args...).Scan(&n); err != nil {
		l.t.Fatal(err)
	}
	return n
}

// runs counts the handlers that have written a payment, committed or not.
func (l ledger) runs() int64 {
	l.t.Helper()
	return l.number(`SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM payments_entry_seq`)
}

func (l ledger) checkOnePayment() {
	l.t.Helper()
	count := l.number(`SELECT count(*) FROM payments WHERE reference = 'order-42'`)
	balance := l.number(`SELECT balance FROM accounts WHERE id = 'acct_1'`)
	if count != 1 || balance != 1_000_000_000-1250 {
		l.t.Errorf("%d payments, balance %d", count, balance)
	}
}

// startTwo starts two processes at the same moment on one empty database.
func startTwo(t *testing.T, store string, env ...string) ([2]*process, ledger) {
	t.Helper()
	url := pgtest.EmptyURL(t)
	env = append(env, "DATABASE_URL="+url, "STORE="+store)
	if store == storeRedis {
		env = append(env, redisOfItsOwn(t)...)
	}
	var processes [2]*process
	for i := range processes {
		processes[i] = launch(t, env...)
	}
	for _, p := range processes {
		p.listen()
	}
	return processes, ledger{t, pgtest.Open(t, url)}
}

// Behaviour 30.
func TestTwoProcessesShareADatabase(t *testing.T) {
	t.Parallel()
	for _, store := range []string{storePostgres, storeLeased, storeRedis} {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			checkRacingDuplicates(t, store)
		})
	}
}

func checkRacingDuplicates(t *testing.T, store string) {
	t.Helper()
	processes, ledger := startTwo(t, store)
	replies := make([]reply, 16)
	var duplicates sync.WaitGroup
	for i := range replies {
		duplicates.Go(func() { replies[i] = processes[i%2].pay("k", "200") })
	}
	duplicates.Wait()
	ran := 0
	for _, r := range replies {
		if r.err != nil || r.status != http.StatusCreated || r.body != replies[0].body {
			t.Errorf("%+v, another got %+v", r, replies[0])
		}
		if !r.replayed {
			ran++
		}
	}
	if ran != 1 || ledger.runs() != 1 {
		t.Errorf("%d requests were answered by their own run, the handler ran %d times", ran, ledger.runs())
	}
	ledger.checkOnePayment()
}

// Behaviour 14.
func TestKilledProcessLeavesNothingAndTheRetryPaysOnce(t *testing.T) {
	t.Parallel()
	processes, ledger := startTwo(t, storePostgres)
	first := make(chan reply, 1)
	go func() { first <- processes[0].pay("k", "3000") }()
	eventually(t, "the handler has written", func() bool { return ledger.runs() == 1 })
	processes[0].kill()
	if r := <-first; r.err == nil {
		t.Errorf("the client of the killed process was answered %+v", r)
	}
	if n := ledger.number(`SELECT count(*) FROM payments`); n != 0 {
		t.Errorf("the killed handler left %d payments", n)
	}
	retry := processes[1].pay("k", "3000")
	if retry.status != http.StatusCreated || retry.replayed {
		t.Errorf("retry: %+v", retry)
	}
	if again := processes[1].pay("k", "3000"); again.body != retry.body || !again.replayed {
		t.Errorf("second retry: %+v", again)
	}
	ledger.checkOnePayment()
}

// Behaviour 52.
func TestTerminationLetsARunningRequestEnd(t *testing.T) {
	t.Parallel()
	for _, store := range storeNames {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			processes, ledger := startTwo(t, store)
			running := make(chan reply, 1)
			go func() { running <- processes[0].pay("k", "1500") }()
			eventually(t, "the handler has written", func() bool { return ledger.runs() == 1 })
			processes[0].terminate()
			if r := <-running; r.status != http.StatusCreated {
				t.Errorf("the running request got %+v", r)
			}
			if code := processes[0].wait(); code != 0 {
				t.Errorf("exit status %d\n%s", code, processes[0].stderr)
			}
			if r := processes[0].pay("k2", "0"); r.err == nil {
				t.Errorf("after its end it answered %+v", r)
			}
			ledger.checkOnePayment()
		})
	}
}

func TestMemoryStoreSaysWhatItDoesNotPromise(t *testing.T) {
	t.Parallel()
	p := start(t, "DATABASE_URL="+pgtest.EmptyURL(t), "STORE=memory")
	p.logged("STORE=memory.*restart forgets")
	first, again := p.pay("k", "0"), p.pay("k", "0")
	if first.status != http.StatusCreated || !again.replayed || first.body != again.body {
		t.Errorf("%+v, then %+v", first, again)
	}
}

func TestOwnDatabaseIsGoneAfterwards(t *testing.T) {
	t.Parallel()
	observer := ledger{t, pgtest.Open(t, pgtest.EmptyURL(t))}
	// As a server that was found running, so that the test can look at it after
	// the process's end.
	serverURL := observer.pool.Config().ConnString()
	p := start(t, "DATABASE_URL=", pgserver.URLVariable+"="+serverURL)
	if r := p.pay("k", "0"); r.status != http.StatusCreated {
		t.Errorf("%+v", r)
	}
	name := p.logged(`database=(\S+)`)[1]
	const exists = `SELECT count(*) FROM pg_database WHERE datname = $1`
	if observer.number(exists, name) != 1 {
		t.Errorf("database %s does not exist while it is used", name)
	}
	p.terminate()
	if code := p.wait(); code != 0 {
		t.Errorf("exit status %d\n%s", code, p.stderr)
	}
	if observer.number(exists, name) != 0 {
		t.Errorf("database %s was left behind", name)
	}
}

func TestWrongSettingsAreRefusedBeforeAnythingStarts(t *testing.T) {
	t.Parallel()
	for name, env := range map[string][]string{
		"STORE":        {"STORE=postgresql"},
		"LEASE":        {"STORE=leased", "LEASE=soon"},
		"REDIS_URL":    {"STORE=redis", "REDIS_URL=http://127.0.0.1"},
		"DATABASE_URL": {"DATABASE_URL=postgres://%zz"},
	} {
		cmd := exec.CommandContext(t.Context(), binary)
		cmd.Env = append(cmd.Environ(), env...)
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), name) || strings.Contains(string(out), "listening") {
			t.Errorf("%s: %v\n%s", env, err, out)
		}
	}
}

func TestAddressInUseIsAnError(t *testing.T) {
	t.Parallel()
	url := pgtest.EmptyURL(t)
	taken := start(t, "DATABASE_URL="+url)
	getenv := func(name string) string {
		return map[string]string{"DATABASE_URL": url, "ADDR": strings.TrimPrefix(taken.url, "http://")}[name]
	}
	err := run(context.Background(), getenv, io.Discard, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("run: %v", err)
	}
}
