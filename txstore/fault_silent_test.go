package txstore_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/internal/wiretap"
	"github.com/pgidem/pgidem/txstore"
)

// Behaviour 15. A network that falls silent before the reply to COMMIT.
func TestSilentNetworkDuringCommit(t *testing.T) {
	t.Parallel()
	for _, disposition := range []idem.Disposition{idem.CommitAll, idem.CommitResponse} {
		t.Run(disposition.String(), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, given{})
			p, silent := w.tapped(given{Config: txstore.Config{CommitTimeout: 2 * time.Second}})
			warm := p.attempt("warm").mustBeFresh()
			idem.SetDisposition(warm.ctx, disposition)
			warm.mustCommit("warm") // nothing is prepared from now on
			a := p.attempt("k").mustBeFresh()
			a.pay()
			idem.SetDisposition(a.ctx, disposition)
			silent.Silence(wiretap.Server)
			err := a.commit("paid")
			if !errors.Is(err, idem.ErrOutcomeUnknown) {
				t.Errorf("told %v, want ErrOutcomeUnknown", err)
			}
			silent.Restore()
			p.attempt("k").mustReplay("paid")
			eventually(t, "no connection is lost", func() bool { return p.pool.Stat().AcquiredConns() == 0 })
		})
	}
}

// Behaviour 15. One connection alone falls silent: the others tell, and the
// silent one is not held for good.
func TestSilentConnectionDuringCommit(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	p, proxy := w.tapped(given{Config: txstore.Config{CommitTimeout: 2 * time.Second}})
	p.attempt("warm").mustBeFresh().mustCommit("warm") // nothing is prepared from now on
	a := p.attempt("k").mustBeFresh()
	a.pay()
	waiting := p.attempt("k").start()
	p.mustFollow("k", 1)
	stuck := make(chan struct{})
	var first sync.Once
	number := -1
	proxy.Intercept(func(m wiretap.Message) wiretap.Verdict {
		first.Do(func() { number = m.Conn })
		if m.Conn == number && m.From == wiretap.Server {
			<-stuck
		}
		return wiretap.Pass
	})
	t.Cleanup(func() { close(stuck) })
	if err := a.commit("paid"); err != nil {
		t.Errorf("told %v, but it was committed", err)
	}
	w.mustHold("k", 1, 1)
	// Whoever followed here gets the very record, with its moment.
	record := w.attempt("k").mustReplay("paid")
	if got := await(t, "the follower", waiting); got.body() != "paid" || !got.existing.StoredAt.Equal(record.StoredAt) {
		t.Errorf("the follower got %s, stored at %v; want %v", got.body(), got.existing.StoredAt, record.StoredAt)
	}
	eventually(t, "the pool has its connection back", func() bool { return p.pool.Stat().AcquiredConns() == 0 })
}

// Behaviour 15. A COMMIT that never arrives, and another process that has
// answered the key by the time its sender asks what became of it: one key, one
// record, and it is the other's.
func TestAnotherCommitsWhileTheReplyIsMissing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	p, proxy := w.tapped(given{Config: txstore.Config{CommitTimeout: 4 * time.Second}})
	p.attempt("warm").mustBeFresh().mustCommit("warm") // nothing is prepared from now on
	a := p.attempt("k").mustBeFresh()
	a.pay()
	pid := a.pid()
	stuck := make(chan struct{})
	t.Cleanup(func() { close(stuck) })
	var first sync.Once
	number := -1
	proxy.Intercept(func(m wiretap.Message) wiretap.Verdict {
		first.Do(func() { number = m.Conn })
		if m.Conn == number {
			<-stuck
		}
		return wiretap.Pass
	})
	done := make(chan error, 1)
	go func() { done <- a.commit("lost") }()
	w.exec("SELECT pg_terminate_backend($1)", pid)
	other := w.attempt("k").mustBeFresh()
	other.pay()
	other.mustCommit("paid")
	if err := await(t, "Commit", done); !errors.Is(err, idem.ErrSuperseded) {
		t.Errorf("told %v, want ErrSuperseded", err)
	}
	w.mustHold("k", 1, 1)
	p.attempt("k").mustReplay("paid")
}

// Behaviour 15. The server ends the session before it gets the COMMIT, or while
// it waits in it.
func TestTerminatedBeforeCommit(t *testing.T) {
	t.Parallel()
	needsLocks(t, "only its own lock tells who lost the connection that its COMMIT did not arrive")
	w := newWorld(t, given{})
	a := w.attempt("k").mustBeFresh()
	a.pay()
	w.exec("SELECT pg_terminate_backend($1)", a.pid())
	var refused *idem.CommitError
	if err := a.commit("paid"); !errors.As(err, &refused) || !refused.Retryable {
		t.Errorf("told %v, want a refusal that is worth a retry", err)
	}
	w.mustHold("k", 0, 0)
	w.attempt("k").mustBeFresh().mustCommit("again")
}

// pid is of the server process that the attempt's transaction is in.
func (a *attempt) pid() (pid int) {
	a.Helper()
	if err := a.tx().QueryRow(a.ctx, "SELECT pg_backend_pid()").Scan(&pid); err != nil {
		a.Fatal(err)
	}
	return pid
}

// Behaviour 15. A session that is terminated in the middle of its COMMIT, in a
// deferred trigger.
func TestTerminatedDuringCommit(t *testing.T) {
	t.Parallel()
	needsLocks(t, "only its own lock tells who lost the connection that its COMMIT did not arrive")
	w := newWorld(t, given{})
	w.exec(`CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(60); RETURN NULL; END $$`)
	w.exec(`CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON payments DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION slow()`)
	a := w.attempt("k").mustBeFresh()
	a.pay()
	pid := a.pid()
	done := make(chan error, 1)
	go func() { done <- a.commit("paid") }()
	eventually(t, "the trigger sleeps", func() bool {
		return w.count(`SELECT count(*) FROM pg_stat_activity WHERE pid = $1 AND wait_event = 'PgSleep'`, pid) == 1
	})
	w.exec("SELECT pg_terminate_backend($1)", pid)
	var refused *idem.CommitError
	if err := await(t, "Commit", done); !errors.As(err, &refused) || !refused.Retryable {
		t.Errorf("told %v, want a refusal that is worth a retry", err)
	}
	w.mustHold("k", 0, 0)
}
