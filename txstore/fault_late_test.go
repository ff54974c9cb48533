package txstore_test

import (
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/internal/wiretap"
	"github.com/pgidem/pgidem/txstore"
)

// a COMMIT slower than CommitTimeout/2, whose reply does arrive, must not cost
// whoever has the connection from the pool by then.
func TestSlowCommitDoesNotCutTheNextCustomer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{Conns: 2, Config: txstore.Config{CommitTimeout: 4 * time.Second, PollInterval: 2 * time.Second}})
	w.exec(`CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(2.6); RETURN NULL; END $$`)
	w.exec(`CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON payments DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION slow()`)
	a := w.attempt("k").mustBeFresh()
	a.pay()
	pid := a.tx().Conn().PgConn().PID()
	done := make(chan error, 1)
	go func() { done <- a.commit("paid") }()
	// The next customer takes that very connection as soon as it is free.
	var victim *pgxpool.Conn
	eventually(t, "the connection is back in the pool", func() bool {
		c, err := w.pool.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if c.Conn().PgConn().PID() == pid {
			victim = c
			return true
		}
		c.Release()
		return false
	})
	defer victim.Release()
	tx, err := victim.Begin(t.Context())
	if err != nil {
		t.Fatalf("the next customer: %v", err)
	}
	if err := <-done; err != nil {
		t.Fatalf("Commit: %v", err)
	}
	// Long enough for a cut that is made behind Commit's back.
	if _, err := tx.Exec(t.Context(), "SELECT pg_sleep(0.3)"); err != nil {
		t.Errorf("the next customer's transaction was cut: %v", err)
	}
}

// a network that is silent for longer than CommitTimeout, then back.
func TestPoolIsNotStarvedByUnknownOutcomes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	p, proxy := w.tapped(given{Conns: 1, Config: txstore.Config{CommitTimeout: time.Second, AcquireTimeout: time.Second}})
	p.attempt("warm").mustBeFresh().mustCommit("warm")
	a := p.attempt("k").mustBeFresh()
	a.pay()
	// The host of the server vanishes: what was sent on old connections is never answered.
	strand(t, proxy)
	proxy.Refuse(true)
	if err := a.commit("paid"); !errors.Is(err, idem.ErrOutcomeUnknown) {
		t.Fatalf("told %v", err)
	}
	proxy.Refuse(false) // the server is back for new connections
	eventually(t, "the pool has its place back", func() bool { return p.pool.Stat().AcquiredConns() == 0 })
	p.attempt("another").mustBeFresh().mustCommit("paid")
}

// the reply to a COMMIT does not come, and every connection of the pool waits
// for one: what became of it is learned all the same.
func TestOutcomeIsLearnedThroughAPoolOfOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	p, proxy := w.tapped(given{Conns: 1, Config: txstore.Config{CommitTimeout: 6 * time.Second}})
	p.attempt("warm").mustBeFresh().mustCommit("warm") // nothing is prepared from now on
	a := p.attempt("k").mustBeFresh()
	a.pay()
	strand(t, proxy)
	if err := a.commit("paid"); err != nil {
		t.Errorf("told %v, but it was committed", err)
	}
	w.mustHold("k", 1, 1)
	eventually(t, "the pool has its place back", func() bool { return p.pool.Stat().AcquiredConns() == 0 })
	p.attempt("k").mustReplay("paid")
}

// strand lets no answer arrive any more on the connections that there are; those
// to come are as always.
func strand(t *testing.T, proxy *wiretap.Proxy) {
	stuck := make(chan struct{})
	t.Cleanup(func() { close(stuck) })
	before := proxy.Accepted()
	proxy.Intercept(func(m wiretap.Message) wiretap.Verdict {
		if m.Conn < before && m.From == wiretap.Server {
			<-stuck
		}
		return wiretap.Pass
	})
}
