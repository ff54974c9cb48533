package inject_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/pgidem/pgidem/torture/inject"
	"github.com/pgidem/pgidem/torture/ledger"
	"github.com/pgidem/pgidem/torture/plan"
	"github.com/pgidem/pgidem/torture/site"
)

// Under these a payment at the server does not get an answer in good time, or
// not a good one, and afterwards it does. Another server is not concerned.
func TestFaultKeepsPaymentsFromBeingMade(t *testing.T) {
	for _, f := range []plan.Fault{
		{Kind: plan.Kill, Server: 1},
		{Kind: plan.LoseHost, Server: 1},
		{Kind: plan.Freeze, Server: 1},
		{Kind: plan.SilenceToServer, Server: 1},
		{Kind: plan.SilenceToClient, Server: 1},
		{Kind: plan.SilenceToServer, Server: 1, Harsh: true},
		{Kind: plan.Delay, Server: 1, Size: 200},
		{Kind: plan.Slow, Server: 1, Size: 500},
		{Kind: plan.ReadOnly},
		{Kind: plan.LockTable},
		{Kind: plan.RestartPostgres},
	} {
		t.Run(string(f.Kind), func(t *testing.T) {
			s := withPostgres
			if !works(t, s, 1) || !works(t, s, 2) {
				t.Fatal("the site does not work")
			}
			end := inflict(t, s, f)
			if status := pay(t, s, 1, shortly); status == http.StatusCreated {
				t.Error("a payment was made as if nothing were")
			}
			if f.Server != 0 && !works(t, s, 2) {
				t.Error("the other server is hit, too")
			}
			end()
			eventually(t, "payments are made again", func() bool { return works(t, s, 1) })
		})
	}
}

func TestRedisFaultKeepsPaymentsFromBeingMade(t *testing.T) {
	for _, f := range []plan.Fault{
		{Kind: plan.RestartRedis},
		{Kind: plan.SilenceToServer, Server: 1, Redis: true},
		{Kind: plan.SilenceToClient, Server: 1, Redis: true},
	} {
		t.Run(string(f.Kind), func(t *testing.T) {
			end := inflict(t, withRedis, f)
			if status := pay(t, withRedis, 1, shortly); status == http.StatusCreated {
				t.Error("a payment was made as if nothing were")
			}
			end()
			eventually(t, "payments are made again", func() bool { return works(t, withRedis, 1) })
		})
	}
}

func TestRefuseLetsNobodyConnect(t *testing.T) {
	end := inflict(t, withPostgres, plan.Fault{Kind: plan.Refuse, Server: 1})
	withPostgres.Server(1).ToPostgres.Cut(true)
	if status := pay(t, withPostgres, 1, bound); status != http.StatusServiceUnavailable {
		t.Errorf("without any connection a payment was answered %d", status)
	}
	end()
	eventually(t, "payments are made again", func() bool { return works(t, withPostgres, 1) })
}

func TestFullDiskTakesNoMoreRows(t *testing.T) {
	undo, err := inject.Begin(t.Context(), withPostgres, plan.Fault{Kind: plan.FullDisk})
	if errors.Is(err, inject.ErrImpossible) && withPostgres.NoDisk != nil {
		return // as it must be, where no file system can be made
	}
	if err != nil {
		t.Fatal(err)
	}
	// There is room on the tables' last pages yet.
	eventually(t, "the disk is full", func() bool { return !works(t, withPostgres, 1) })
	if err := undo(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "payments are made again", func() bool { return works(t, withPostgres, 1) })
}

func TestCutAndTerminateEndSessions(t *testing.T) {
	const sessions = "SELECT array_agg(pid) FROM pg_stat_activity WHERE usename = $1"
	for _, f := range []plan.Fault{
		{Kind: plan.Cut, Server: 1},
		{Kind: plan.Cut, Server: 1, Harsh: true},
		{Kind: plan.TerminateBackend},
		{Kind: plan.CutInside, Server: 1, Size: 5},
		{Kind: plan.CutInside, Server: 1, Size: 5, Harsh: true},
	} {
		t.Run(string(f.Kind), func(t *testing.T) {
			eventually(t, "the site works", func() bool { return works(t, withPostgres, 1) })
			before := query[[]int](t, withPostgres, sessions, ledger.Role)
			inflict(t, withPostgres, f)
			eventually(t, "a session is gone", func() bool {
				pay(t, withPostgres, 1, bound) // a cut inside needs something that it is inside of
				now := query[[]int](t, withPostgres, sessions, ledger.Role)
				return slices.ContainsFunc(before, func(pid int) bool { return !slices.Contains(now, pid) })
			})
			eventually(t, "payments are made again", func() bool { return works(t, withPostgres, 1) })
		})
	}
}

// keepWaiting has one server work on a key for which the other one waits.
func keepWaiting(t *testing.T, s *site.Site, key string) {
	t.Helper()
	slow := ledger.Payment{Account: 3, Amount: 1, Act: ledger.Pay, Hold: 2 * time.Second}
	for number := range 2 {
		done := make(chan struct{})
		go func() {
			defer close(done)
			payAs(t, s, number+1, key, slow, bound)
		}()
		t.Cleanup(func() { <-done })
	}
}

func TestTerminateListenerHitsWhoListens(t *testing.T) {
	const listening = `SELECT coalesce(max(pid), 0) FROM pg_locks
		WHERE locktype = 'advisory' AND mode = 'ShareLock' AND granted`
	keepWaiting(t, withPostgres, "listener")
	pid := 0
	eventually(t, "somebody listens", func() bool {
		pid = query[int](t, withPostgres, listening)
		return pid > 0
	})
	began := time.Now()
	inflict(t, withPostgres, plan.Fault{Kind: plan.TerminateListener})
	eventually(t, "the session is gone", func() bool {
		return query[int](t, withPostgres, "SELECT count(*) FROM pg_stat_activity WHERE pid = $1", pid) == 0
	})
	// With nobody to listen for it would go by itself, but not so soon.
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it went %v later", took)
	}
}

func TestTerminateListenerHitsWhoIsSubscribed(t *testing.T) {
	client := redis.NewClient(&redis.Options{Addr: withRedis.Redis.Addr()})
	defer func() { _ = client.Close() }()
	subscribed := func() []string {
		list, err := client.Do(t.Context(), "CLIENT", "LIST", "TYPE", "PUBSUB").Text()
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for line := range strings.Lines(list) {
			ids = append(ids, strings.Fields(line)[0])
		}
		return ids
	}
	keepWaiting(t, withRedis, "subscriber")
	eventually(t, "somebody is subscribed", func() bool { return len(subscribed()) > 0 })
	before := subscribed()
	inflict(t, withRedis, plan.Fault{Kind: plan.TerminateListener, Redis: true})
	if now := subscribed(); slices.ContainsFunc(before, func(id string) bool { return slices.Contains(now, id) }) {
		t.Errorf("still subscribed: %v of %v", now, before)
	}
}

// Nothing but the database's own patience ends what a lost host has begun.
func TestLostHostLeavesItsSessionsOpen(t *testing.T) {
	const holding = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ExclusiveLock' AND granted"
	slow := ledger.Payment{Account: 3, Amount: 1, Act: ledger.Pay, Hold: 2 * time.Second}
	go payAs(t, withPostgres, 1, "lost", slow, bound)
	eventually(t, "the key is in flight", func() bool { return query[int](t, withPostgres, holding) > 0 })
	end := inflict(t, withPostgres, plan.Fault{Kind: plan.LoseHost, Server: 1})
	if query[int](t, withPostgres, holding) == 0 {
		t.Error("the database has heard of the end")
	}
	eventually(t, "the key is free", func() bool { return query[int](t, withPostgres, holding) == 0 })
	end()
	eventually(t, "payments are made again", func() bool { return works(t, withPostgres, 1) })
}

func TestClockJumpSetsOneClock(t *testing.T) {
	ahead := func(number int) time.Duration {
		seconds, err := withPostgres.Server(number).Clock(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return time.Duration(seconds-time.Now().Unix()) * time.Second
	}
	end := inflict(t, withPostgres, plan.Fault{Kind: plan.ClockJump, Server: 1, Size: -3600})
	if one, two := ahead(1).Round(time.Minute), ahead(2).Round(time.Minute); one != -time.Hour || two != 0 {
		t.Errorf("the clocks are ahead by %v and %v", one, two)
	}
	if !works(t, withPostgres, 1) {
		t.Error("no payments are made under a clock that was set back")
	}
	end()
	if back := ahead(1).Round(time.Minute); back != 0 {
		t.Errorf("the clock was not set back: ahead by %v", back)
	}
}

// A server that ends in good order says so, and leaves nothing.
func TestStoppedServerLeavesNothing(t *testing.T) {
	server := withPostgres.Server(2)
	if !works(t, withPostgres, 2) {
		t.Fatal("the site does not work")
	}
	last, err := server.Stop()
	if err != nil || last.Goroutines != 0 {
		t.Errorf("it left %+v, %v", last, err)
	}
	if err := server.Start(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
}
