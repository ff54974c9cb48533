package txstore_test

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgidem/pgidem/internal/pgserver"
)

// deaths are the ways in which a primary goes, for good.
var deaths = map[string]func(*pgserver.Server) error{
	"Immediate": (*pgserver.Server).Halt,
	"SIGKILL": func(s *pgserver.Server) error {
		// Its backends are on their own then, and end when they notice.
		return s.Signal(syscall.SIGKILL)
	},
}

const stormClients = 12

// failOver lets the primary go in the middle of a storm, promotes the standby, and
// ends the storm some time later.
func (p *pair) failOver(t *testing.T, die func(*pgserver.Server) error, stop chan struct{}, ended <-chan struct{}) {
	t.Helper()
	p.mustAcknowledge(200)
	if err := die(p.primary); err != nil {
		t.Fatal(err)
	}
	gone := time.Now()
	if err := p.standby.Promote(t.Context()); err != nil {
		t.Fatal(err)
	}
	promoted := time.Since(gone)
	p.admin.Reset() // its connections lead to the one that is gone
	p.mustAcknowledge(1)
	t.Logf("promoted %v after the primary was gone, first payment after %v", promoted, time.Since(gone))
	p.mustAcknowledge(200)
	close(stop)
	await(t, "the end of the storm", ended)
}

// Behaviours 14, 30. A primary dies in the middle of a storm and its synchronous
// standby is promoted. Whatever a client was told is there, row and record, once;
// and every retry gets the same bytes.
func TestSynchronousStandbyPromotedInAStorm(t *testing.T) {
	t.Parallel()
	for name, die := range deaths {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPair(t, true)
			stop := make(chan struct{})
			p.failOver(t, die, stop, p.storm("k", stormClients, stop))
			before := p.find()
			for key := range p.told {
				p.insist(key, 0)
				p.insist(key, 1)
			}
			after := p.find()
			t.Logf("%d answers for %d keys; %+v", p.acks.Load(), before.keys, after)
			if want := (findings{keys: before.keys}); before != want || after != want {
				t.Errorf("found %+v, and after retries %+v; want nothing but keys", before, after)
			}
		})
	}
}

// An asynchronous standby that is behind when the primary dies has lost payments
// that clients were told of. They lost row and record together: a retry runs
// again, and leaves one row.
func TestAsynchronousFailoverLosesRowAndRecordTogether(t *testing.T) {
	t.Parallel()
	p := newPair(t, false)
	stop := make(chan struct{})
	ended := p.storm("early", stormClients, stop)
	p.mustAcknowledge(100)
	close(stop)
	await(t, "the end of the first storm", ended)
	early := p.find()
	p.catchUp()
	p.detach()

	stop = make(chan struct{})
	p.failOver(t, deaths["Immediate"], stop, p.storm("late", stormClients, stop))
	before := p.find()
	t.Logf("%d keys before the standby fell behind; then %+v", early.keys, before)
	if before.lost == 0 || before.split > 0 || before.doubled > 0 {
		t.Errorf("found %+v: want some lost, with their records, and nothing else", before)
	}
	for key := range p.told {
		p.insist(key, 0)
	}
	after := p.find()
	if after.lost > 0 || after.split > 0 || after.doubled > 0 || after.another < before.lost {
		t.Errorf("after retries found %+v: want every lost key to have run once more", after)
	}
	for key, told := range p.told {
		if strings.HasPrefix(key, "early") && told[0] != told[len(told)-1] {
			t.Errorf("%s, which the standby had, was answered %v", key, told)
		}
	}
}

// catchUp waits until the standby has all that the primary has.
func (p *pair) catchUp() {
	p.Helper()
	p.onStandby(func(standby *pgx.Conn) {
		eventually(p.TB, "the standby has caught up", func() bool {
			var lsn string
			if err := p.admin.QueryRow(p.Context(), `SELECT pg_current_wal_flush_lsn()::text`).Scan(&lsn); err != nil {
				p.Fatal(err)
			}
			var there bool
			if err := standby.QueryRow(p.Context(), `SELECT pg_last_wal_replay_lsn() >= $1::text::pg_lsn`, lsn).Scan(&there); err != nil {
				p.Fatal(err)
			}
			return there
		})
	})
}

// detach makes the standby receive nothing more, as a network would that is cut
// off.
func (p *pair) detach() {
	p.Helper()
	p.onStandby(func(standby *pgx.Conn) {
		for _, sql := range []string{`ALTER SYSTEM SET primary_conninfo = ''`, `SELECT pg_reload_conf()`} {
			if _, err := standby.Exec(p.Context(), sql); err != nil {
				p.Fatal(err)
			}
		}
		eventually(p.TB, "the standby receives nothing", func() bool {
			return p.count(`SELECT count(*) FROM pg_stat_replication`) == 0
		})
	})
}

func (p *pair) onStandby(do func(*pgx.Conn)) {
	p.Helper()
	conn, err := pgx.Connect(p.Context(), p.standby.URL())
	if err != nil {
		p.Fatal(err)
	}
	defer conn.Close(p.Context())
	do(conn)
}
