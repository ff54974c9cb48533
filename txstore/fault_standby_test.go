package txstore_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/internal/pgserver"
	"github.com/pgidem/pgidem/internal/pgserver/pgtest"
	"github.com/pgidem/pgidem/txstore"
)

// standby makes the server's commits wait for a standby that is not there, or
// no longer.
func (w *world) standby(wanted bool) {
	w.Helper()
	names := ""
	if wanted {
		names = "absent"
	}
	conn, err := pgx.Connect(w.Context(), w.url)
	if err != nil {
		w.Fatal(err)
	}
	defer conn.Close(context.Background())
	for _, sql := range []string{"ALTER SYSTEM SET synchronous_standby_names = '" + names + "'", "SELECT pg_reload_conf()"} {
		if _, err := conn.Exec(w.Context(), sql); err != nil {
			w.Fatal(err)
		}
	}
	eventually(w.TB, "the setting is in force", func() bool {
		var now string
		_ = conn.QueryRow(w.Context(), "SHOW synchronous_standby_names").Scan(&now)
		return now == names
	})
	if wanted {
		// The backends look at it when the checkpointer has seen it.
		eventually(w.TB, "commits wait", func() bool {
			ctx, cancel := context.WithTimeout(w.Context(), 200*time.Millisecond)
			defer cancel()
			probe, err := pgx.Connect(ctx, w.url)
			if err != nil {
				return false
			}
			defer probe.Close(context.Background())
			_, err = probe.Exec(ctx, "INSERT INTO payments (key, n) VALUES ('probe', 1)")
			return err != nil
		})
		eventually(w.TB, "what was tried waits no more", func() bool {
			return w.count("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'") == 0
		})
	}
}

// Behaviour 50. A synchronous standby that does not answer: the outcome is
// unknown, in time; nobody is told anything false meanwhile; afterwards it is
// the truth.
func TestStandbyThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	needsLocks(t, "a waiter in another process registers with one, and is told through it")
	for _, disposition := range []idem.Disposition{idem.CommitAll, idem.CommitResponse} {
		t.Run(disposition.String(), func(t *testing.T) {
			t.Parallel()
			server := pgtest.OwnServer(t, pgserver.Options{})
			const limit = time.Second
			w := newWorld(t, given{URL: pgtest.MigratedURL(t, server), Config: txstore.Config{CommitTimeout: limit, PollInterval: 20 * time.Millisecond}})
			w.exec(`CREATE TABLE payments (id serial PRIMARY KEY, key text NOT NULL, n int NOT NULL)`)
			a := w.attempt("k").mustBeFresh()
			a.pay()
			idem.SetDisposition(a.ctx, disposition)
			follower, elsewhere := w.attempt("k").start(), w.process(slowPoll).attempt("k").start()
			w.mustRegister("k")
			w.mustFollow("k", 1)
			w.standby(true)
			defer w.standby(false)

			begun := time.Now()
			err := a.commit("paid")
			if !errors.Is(err, idem.ErrOutcomeUnknown) {
				t.Errorf("told %v, want ErrOutcomeUnknown", err)
			}
			if took := time.Since(begun); took < limit/2 || took > limit+3*time.Second {
				t.Errorf("told after %v, want about %v", took, limit)
			}
			for name, waiting := range map[string]<-chan reserved{"here": follower, "elsewhere": elsewhere} {
				select {
				case got := <-waiting:
					t.Errorf("%s: a waiter got %s before the commit was safe", name, got.body())
				default:
				}
			}
			w.standby(false)
			for name, waiting := range map[string]<-chan reserved{"here": follower, "elsewhere": elsewhere} {
				if got := await(t, name, waiting).body(); got != "paid" {
					t.Errorf("%s: a waiter got %s", name, got)
				}
			}
			payments := 1
			if disposition == idem.CommitResponse {
				payments = 0
			}
			w.mustHold("k", payments, 1)
			eventually(t, "the pool has its connection back", func() bool { return w.pool.Stat().AcquiredConns() == 0 })
		})
	}
}

// newStandbyWorld has a server of its own, for which a standby may be wanted.
func newStandbyWorld(t *testing.T) *world {
	t.Helper()
	server := pgtest.OwnServer(t, pgserver.Options{})
	w := newWorld(t, given{URL: pgtest.MigratedURL(t, server), Config: txstore.Config{CommitTimeout: patience}})
	w.exec(`CREATE TABLE payments (id serial PRIMARY KEY, key text NOT NULL, n int NOT NULL)`)
	return w
}

// terminateCommit pays with key, and terminates the session, which had that number,
// while its COMMIT waits for the standby. It returns what Commit says.
func (w *world) terminateCommit(key string) (pid int, told <-chan error) {
	w.Helper()
	a := w.attempt(key).mustBeFresh()
	a.pay()
	pid = a.pid()
	w.standby(true)
	done := make(chan error, 1)
	go func() { done <- a.commit("paid") }()
	eventually(w.TB, "the COMMIT waits", func() bool {
		return w.count(`SELECT count(*) FROM pg_stat_activity WHERE pid = $1 AND wait_event = 'SyncRep'`, pid) == 1
	})
	w.exec("SELECT pg_terminate_backend($1)", pid)
	eventually(w.TB, "everybody sees the record", func() bool { return w.records(key) == 1 })
	// It stays young for as long as the test may take.
	w.exec(`SELECT set_config('synchronous_commit', 'local', true);
UPDATE pgidem_records SET stored_at = stored_at + interval '30 minutes' WHERE key = '` + key + `'`)
	return pid, done
}

// Behaviour 15. A session that is terminated while its COMMIT waits for the
// standby ends without a word on it, and has committed. The client is told so when
// the standby has it, and not before: a failover could still lose it.
func TestTerminatedWhileCommitWaitsForTheStandby(t *testing.T) {
	t.Parallel()
	w := newStandbyWorld(t)
	pid, done := w.terminateCommit("k")
	eventually(t, "the confirmation waits", func() bool {
		return w.count(`SELECT count(*) FROM pg_stat_activity WHERE pid <> $1 AND wait_event = 'SyncRep' AND query = 'commit'`, pid) == 1
	})
	select {
	case err := <-done:
		t.Errorf("told %v before the standby had it", err)
	default:
	}
	w.standby(false)
	if err := await(t, "Commit", done); err != nil {
		t.Errorf("told %v, but it was committed", err)
	}
	w.mustHold("k", 1, 1)
}

// Behaviour 15. What such a session has committed is not replayed to anybody else
// either before the standby has it.
func TestReplayOfWhatTheStandbyHasNotWaits(t *testing.T) {
	t.Parallel()
	w := newStandbyWorld(t)
	pid, done := w.terminateCommit("k")
	const waiting = `SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND pid <> $1`
	eventually(t, "the owner's confirmation waits", func() bool { return w.count(waiting, pid) == 1 })

	replay := w.process(given{}).attempt("k").start()
	eventually(t, "the replay waits", func() bool { return w.count(waiting, pid) >= 2 })
	select {
	case got := <-replay:
		t.Errorf("replayed %s before the standby had it", got.body())
	default:
	}
	w.standby(false)
	if got := await(t, "the replay", replay).body(); got != "paid" {
		t.Errorf("replayed %s", got)
	}
	if err := await(t, "Commit", done); err != nil {
		t.Error(err)
	}
}

// withoutConfirming leaves a server without what confirmations need.
const withoutConfirming = `UPDATE pg_catalog.pg_proc SET proname = 'gone' WHERE proname = 'pg_logical_emit_message'`

// Where the confirmation is refused the record's own word must do.
func TestConfirmationRefused(t *testing.T) {
	t.Parallel()
	w := newStandbyWorld(t)
	w.exec(withoutConfirming)
	_, done := w.terminateCommit("k")
	defer w.standby(false)
	if err := await(t, "Commit", done); err != nil {
		t.Errorf("told %v, but it was committed", err)
	}
	w.process(given{}).attempt("k").mustReplay("paid")
}
