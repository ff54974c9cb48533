package txstore_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/internal/pgserver"
	"github.com/pgidem/pgidem/internal/pgserver/pgtest"
	"github.com/pgidem/pgidem/txstore"
)

// unusualSessions are what a session can have by default that writes would fail
// by, or see too little.
var unusualSessions = map[string]string{
	"default_transaction_read_only": "on", "default_transaction_isolation": "serializable",
}

// sessionsWith lets each connection of a pool have a setting of its own.
func sessionsWith(name, value string) func(*pgxpool.Config) {
	return func(c *pgxpool.Config) {
		c.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
			_, err := conn.Exec(ctx, "SELECT set_config($1::text, $2::text, false)", name, value)
			return err
		}
	}
}

// inUnusualSessions runs test in each of them, and in each way of executing
// queries.
func inUnusualSessions(t *testing.T, test func(*testing.T, *world)) {
	t.Helper()
	for name, value := range unusualSessions {
		for _, mode := range execModes {
			t.Run(name+" "+mode.String(), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, given{Mode: mode, Pool: sessionsWith(name, value)})
				test(t, w)
				if len(w.troubles()) > 0 {
					t.Errorf("told to OnError: %v", w.troubles())
				}
			})
		}
	}
}

// leasedUntil is the end of key's lease, in microseconds.
func (w *world) leasedUntil(key string) int {
	w.Helper()
	return w.count(`SELECT (extract(epoch FROM leased_until) * 1000000)::bigint FROM pgidem_records WHERE key = $1`, key)
}

// Behaviour 9.
func TestLeaseIsRenewedInEverySession(t *testing.T) {
	t.Parallel()
	inUnusualSessions(t, func(t *testing.T, w *world) {
		a := w.leasedAttempt("k").mustBeFresh()
		before := w.leasedUntil("k")
		if err := txstore.Renew(a.ctx, w.store, "k"); err != nil {
			t.Errorf("renewing: %v", err)
		}
		if w.leasedUntil("k") <= before {
			t.Error("the lease ends when it did before it was renewed")
		}
		a.mustCommit("sent")
		w.leasedAttempt("k").mustReplay("sent")
		released := w.leasedAttempt("released").mustBeFresh()
		released.mustRelease()
		released.mustBeFresh()
	})
}

// Behaviour 26. What has expired goes, and what is only remembered gets small.
func TestSweepInEverySession(t *testing.T) {
	t.Parallel()
	inUnusualSessions(t, func(t *testing.T, w *world) {
		w.seed("expired", 3, true)
		w.seed("remembered", 1, true)
		w.exec(`UPDATE pgidem_records SET forgotten_at = now() + interval '1 hour' WHERE key LIKE 'remembered%'`)
		w.mustSweep(3)
		if n := w.count(`SELECT count(*) FROM pgidem_records WHERE body IS NULL`); n != 1 {
			t.Errorf("%d records are without their body, want the one that is remembered", n)
		}
	})
}

// A lease that is lost was mostly not renewed for a reason, and the reason is told.
func TestFailedRenewalIsTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	w.exec(`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not today'; END $$`)
	w.exec(`CREATE TRIGGER refuse BEFORE UPDATE ON pgidem_records FOR EACH ROW WHEN (NEW.status IS NULL) EXECUTE FUNCTION refuse()`)
	a := w.leasedAttempt("k").mustBeFresh()
	if err := txstore.Renew(a.ctx, w.store, "k"); err == nil {
		t.Fatal("renewing: no error")
	}
	if told := errors.Join(w.troubles()...); told == nil || !strings.Contains(told.Error(), "not today") {
		t.Errorf("told to OnError: %v, want why it was not renewed", told)
	}
	a.mustCommit("sent") // the connection was given back in good order
}

func TestRenewalTakesOneRoundTrip(t *testing.T) {
	t.Parallel()
	p, proxy := newWorld(t, given{}).tapped(given{Conns: 1})
	a := p.leasedAttempt("k").mustBeFresh()
	renew := func() {
		if err := txstore.Renew(a.ctx, p.store, "k"); err != nil {
			t.Fatal(err)
		}
	}
	if n := trips(proxy, renew); n != 1 {
		t.Errorf("took %d round trips, want 1", n)
	}
}

// A hot standby takes no writes, whatever they are begun with: each door says so.
func TestHotStandbySaysThatItIsOne(t *testing.T) {
	t.Parallel()
	primary := pgtest.OwnServer(t, pgserver.Options{})
	url := pgtest.MigratedURL(t, primary)
	standby, err := pgserver.StartStandby(t.Context(), primary, pgserver.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = standby.Stop() })
	there, err := pgx.ParseConfig(standby.URL())
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, given{URL: url, Pool: func(c *pgxpool.Config) {
		c.ConnConfig.Host, c.ConnConfig.Port, c.ConnConfig.Fallbacks = there.Host, there.Port, nil
	}})
	doors := map[string]func() error{
		"Reserve":        func() error { _, _, err := w.attempt("k").reserve(); return err },
		"Leased.Reserve": func() error { _, _, err := w.leasedAttempt("k").reserve(); return err },
		"Sweep":          func() error { _, err := w.store.Sweep(t.Context()); return err },
	}
	for name, door := range doors {
		if err := door(); !errors.Is(err, idem.ErrStoreUnavailable) || !strings.Contains(err.Error(), "during recovery") {
			t.Errorf("%s on a standby: %v, want to hear that it is one", name, err)
		}
	}
}
