package redisstore_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/pgidem/pgidem/idem"
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
	w = newWorld(t, given{Config: redisstore.Config{CallTimeout: 200 * time.Millisecond}})
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
	w, p := tapped(t, redis.Options{MaxRetries: 3, MinRetryBackoff: 300 * time.Millisecond, MaxRetryBackoff: 400 * time.Millisecond})
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
