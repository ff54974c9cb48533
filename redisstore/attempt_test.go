package redisstore_test

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/internal/redisserver"
	"github.com/pgidem/pgidem/internal/redisserver/redistest"
	"github.com/pgidem/pgidem/redisstore"
)

// The server takes a second Reserve of one attempt for a repetition of the first:
// the Store must not.
//
// Behaviour 60.
func TestOneAttemptTwiceAtATimeIsNested(t *testing.T) {
	t.Parallel()
	for name, noWait := range map[string]bool{"Waits": false, "NoWait": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, given{})
			a := w.attemptWith("k", idem.AttemptConfig{NoWait: noWait})
			one, two := a.start(), a.start()
			first, second := await(t, "one", one), await(t, "the other", two)
			if !first.fresh {
				first, second = second, first
			}
			if !first.fresh || second.fresh || !errors.Is(second.err, idem.ErrNested) {
				t.Errorf("%s and %s, want one fresh and the other ErrNested", first.body(), second.body())
			}
			a.mustCommit("paid")
		})
	}
}

// Behaviour 60.
func TestOneAttemptThroughTwoStoresIsNested(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	a := w.attempt("k").mustBeFresh()
	there := w.process(given{})
	if _, fresh, err := there.store.Reserve(a.ctx, "k", "h", time.Hour); fresh || !errors.Is(err, idem.ErrNested) {
		t.Errorf("fresh %t, %v; want ErrNested", fresh, err)
	}
	a.mustCommit("paid")
}

// slowly is a Store whose client holds up its first call after mustBeFresh, until
// the test lets it go.
func slowly(t *testing.T) (w *world, a *attempt, let chan struct{}) {
	t.Helper()
	w = newWorld(t, given{Config: redisstore.Config{CallTimeout: time.Second}})
	warm := w.attempt("warm").mustBeFresh() // the server has all scripts
	warm.mustCommit("warm")
	w.attempt("warm too").mustBeFresh().mustRelease()
	a, let = w.attempt("k").mustBeFresh(), make(chan struct{})
	w.client.AddHook(&moments{before: at(1, func() { <-let })})
	return w, a, let
}

// A Release that its caller has given up does not free what the attempt reserves
// next.
func TestLateReleaseDoesNotFreeTheNextReservation(t *testing.T) {
	t.Parallel()
	w, a, let := slowly(t)
	there := w.process(given{})
	if err := a.store.Release(context.WithoutCancel(a.ctx), "k"); !errors.Is(err, idem.ErrStoreUnavailable) {
		t.Fatalf("Release: %v, want ErrStoreUnavailable", err)
	}
	again := a.start()
	time.AfterFunc(10*time.Millisecond, func() { close(let) })
	if r := await(t, "the attempt", again); !r.fresh {
		t.Fatalf("Reserve: %s", r.body())
	}
	time.Sleep(300 * time.Millisecond)
	if other := there.attemptWith("k", idem.AttemptConfig{NoWait: true}).reserve(); other.fresh {
		t.Error("another process is fresh while the attempt holds the key")
	}
}

// A Commit that its caller has given up does not complete what the attempt reserves
// next.
func TestLateCommitDoesNotCompleteTheNextReservation(t *testing.T) {
	t.Parallel()
	w, a, let := slowly(t)
	there := w.process(given{})
	if err := a.commit("first"); !errors.Is(err, idem.ErrStoreUnavailable) {
		t.Fatalf("Commit: %v, want ErrStoreUnavailable", err)
	}
	a.mustRelease()
	time.AfterFunc(10*time.Millisecond, func() { close(let) })
	a.mustBeFresh()
	time.Sleep(300 * time.Millisecond)
	if other := there.attemptWith("k", idem.AttemptConfig{NoWait: true}).reserve(); other.existing != nil {
		t.Errorf("another process is given %q while the attempt runs", other.body())
	}
}

// A plain SET that the client repeats finds what its first try has reserved. If its
// caller has left, nobody runs a handler for that.
func TestRepeatedLookWhoseCallerLeftLeavesNothing(t *testing.T) {
	t.Parallel()
	p := newProxy(t, redistest.Addr(t))
	w := newWorld(t, given{
		Addr:   p.addr,
		Client: redis.Options{MaxRetries: 3, MinRetryBackoff: 300 * time.Millisecond, MaxRetryBackoff: 400 * time.Millisecond},
		Config: redisstore.Config{Lease: time.Hour},
	})
	w.attempt("warm").mustBeFresh().mustCommit("warm")
	a := w.attempt("k")
	p.loseReplyTo(plainSet)
	ctx, cancel := context.WithTimeout(a.ctx, 100*time.Millisecond)
	defer cancel()
	if _, fresh, err := w.store.Reserve(ctx, "k", "h", time.Hour); fresh || !errors.Is(err, idem.ErrStoreUnavailable) {
		t.Fatalf("Reserve: fresh %t, %v; want ErrStoreUnavailable", fresh, err)
	}
	if p.lostReplies() != 1 {
		t.Fatal("no reply was lost: the test tests nothing")
	}
	eventually(t, "the client has repeated it, and the lease is undone", func() bool {
		return w.attemptWith("k", idem.AttemptConfig{NoWait: true}).reserve().fresh
	})
}

// A second Reserve of an attempt that is given up leaves the first one's lease alone.
func TestSecondReserveWhoseCallerLeftKeepsTheLease(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	there, third := w.process(given{}), w.process(given{})
	w.attempt("warm").mustBeFresh().mustCommit("warm")
	a := w.attempt("k").mustBeFresh()
	there.client.AddHook(&moments{name: "set", before: at(1, func() { time.Sleep(300 * time.Millisecond) })})
	ctx, cancel := context.WithTimeout(a.ctx, 100*time.Millisecond)
	defer cancel()
	if _, fresh, err := there.store.Reserve(ctx, "k", "h", time.Hour); fresh || err == nil {
		t.Fatalf("fresh %t, %v", fresh, err)
	}
	time.Sleep(time.Second)
	if other := third.attemptWith("k", idem.AttemptConfig{NoWait: true}).reserve(); other.fresh {
		t.Error("another process is fresh while the attempt holds the key")
	}
}

// What gives up a reservation, and is late itself, does not end the attempt's next.
func TestLateUndoDoesNotFreeTheNextReservation(t *testing.T) {
	t.Parallel()
	p := newProxy(t, redistest.Addr(t))
	w := newWorld(t, given{Addr: p.addr, Client: redis.Options{MaxRetries: -1}, Config: redisstore.Config{CallTimeout: time.Second}})
	there := w.process(given{Addr: p.target})
	w.attempt("warm").mustBeFresh().mustCommit("warm")
	if err := redisstore.LoadScripts(t.Context(), w.client); err != nil {
		t.Fatal(err)
	}
	let := make(chan struct{})
	w.client.AddHook(&moments{before: at(1, func() { <-let })}) // the undo
	a := w.attempt("k")
	p.loseReplyTo(plainSet)
	if r := a.reserve(); !errors.Is(r.err, idem.ErrStoreUnavailable) {
		t.Fatalf("Reserve: %s, want ErrStoreUnavailable", r.body())
	}
	time.AfterFunc(1050*time.Millisecond, func() { close(let) }) // the undo was given up just now
	a.mustBeFresh()                                              // and runs its handler
	time.Sleep(300 * time.Millisecond)
	if other := there.attemptWith("k", idem.AttemptConfig{NoWait: true}).reserve(); other.fresh {
		t.Error("another process is fresh while the attempt holds the key")
	}
}

// Two databases have two records, also of one attempt, as while moving from one to
// the other.
func TestOneAttemptReservesInTwoDatabases(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	there := w.process(given{Client: redis.Options{DB: 1}})
	a := w.attempt("k").mustBeFresh()
	b := *a
	b.store = there.store
	b.mustBeFresh()
}

// failover is a hook that lets a failover end once so many plain looks were refused in
// it, and before their scripts follow.
type failover struct {
	refused sync.WaitGroup
	end     func()
}

func (*failover) DialHook(next redis.DialHook) redis.DialHook { return next }

func (*failover) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (f *failover) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if cmd.Name() == "set" && redis.HasErrorPrefix(err, "READONLY") {
			f.refused.Done()
			f.refused.Wait()
			f.end()
		}
		return err
	}
}

// A look that a failover refuses is followed by a script, whose lease nobody undoes.
func TestFailoverBetweenTheTwoLooksKeepsTheLease(t *testing.T) {
	t.Parallel()
	server := ownServer(t, redisserver.Options{})
	w := newWorld(t, given{Addr: server.Addr()})
	w.attempt("warm").mustBeFresh().mustCommit("warm")
	w.attempt("warm too").mustBeFresh().mustRelease()
	there := w.process(given{})
	admin := redis.NewClient(&redis.Options{Addr: server.Addr()})
	t.Cleanup(func() { _ = admin.Close() })
	if err := admin.Do(t.Context(), "REPLICAOF", "127.0.0.1", "1").Err(); err != nil {
		t.Fatal(err)
	}
	const many = 20
	f := &failover{end: sync.OnceFunc(func() {
		if err := admin.Do(context.Background(), "REPLICAOF", "NO", "ONE").Err(); err != nil {
			t.Error(err)
		}
	})}
	f.refused.Add(many)
	w.client.AddHook(f)
	var all sync.WaitGroup
	for i := range many {
		all.Go(func() {
			a := w.attempt(strconv.Itoa(i))
			if r := a.reserve(); !r.fresh {
				t.Errorf("%s: %s, want it fresh", a.key, r.body())
			}
		})
	}
	all.Wait() // they run their handlers now
	time.Sleep(300 * time.Millisecond)
	for i := range many {
		if other := there.attemptWith(strconv.Itoa(i), idem.AttemptConfig{NoWait: true}).reserve(); other.fresh {
			t.Errorf("%d: another process is fresh while the attempt's handler runs", i)
		}
	}
}
