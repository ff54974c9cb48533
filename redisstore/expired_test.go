package redisstore_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pgidem/pgidem/idem"
)

// joining is a context that says when somebody waits for its end, as a request
// does that has joined another's look.
type joining struct {
	context.Context
	once   sync.Once
	joined chan struct{}
}

func (c *joining) Done() <-chan struct{} {
	c.once.Do(func() { close(c.joined) })
	return c.Context.Done()
}

// follow reserves in a goroutine of its own, and returns when the attempt waits.
func (a *attempt) follow() <-chan reserved {
	a.Helper()
	inner, cancel := context.WithTimeout(a.ctx, patience)
	a.Cleanup(cancel)
	ctx, done := &joining{Context: inner, joined: make(chan struct{})}, make(chan reserved, 1)
	go func() {
		var r reserved
		r.existing, r.fresh, r.err = a.store.Reserve(ctx, a.key, "h", time.Hour)
		done <- r
	}()
	await(a.TB, "the attempt waits", ctx.joined)
	return done
}

// mustBeFreshFor reserves for a record that lives for so long.
func (a *attempt) mustBeFreshFor(ttl time.Duration) *attempt {
	a.Helper()
	if _, fresh, err := a.store.Reserve(a.ctx, a.key, "h", ttl); !fresh || err != nil {
		a.Fatalf("Reserve: fresh %t, error %v, want it fresh", fresh, err)
	}
	return a
}

// mustExpire returns when there is no record of key that is replayed.
func (w *world) mustExpire(key string) {
	w.Helper()
	eventually(w.TB, "the record has expired", func() bool {
		a := w.attempt(key)
		r := a.reserve()
		if r.fresh {
			a.mustRelease()
		}
		return r.existing == nil
	})
}

// mustGo returns when there is no record of key any more, or only that of a lease.
func (w *world) mustGo(key string) {
	w.Helper()
	eventually(w.TB, "the record has expired", func() bool {
		head, err := w.client.GetRange(w.Context(), w.prefix+key, 0, 1).Result()
		return err == nil && (head == "" || head == "\x01L")
	})
}

// longer makes scene play for records that live longer and longer, until it says
// that it came to what it shows: on a busy machine a record may not live until it
// is looked at.
func longer(t *testing.T, ttl time.Duration, scene func(key string, ttl time.Duration) bool) {
	t.Helper()
	for ; !scene(fmt.Sprint("lives ", ttl), ttl); ttl *= 2 {
		if ttl > patience/4 {
			t.Fatal("no look came in time")
		}
	}
}

// Behaviour 8. What had expired before a request came is not replayed to it,
// although a look that saw it alive is still on its way back.
func TestFollowerIsNotGivenWhatExpiredBeforeItCame(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	longer(t, 300*time.Millisecond, func(key string, ttl time.Duration) bool {
		there := w.process(given{})
		w.attempt(key).mustBeFreshFor(ttl).mustCommit("paid")
		var late <-chan reserved
		follower := there.attempt(key)
		there.client.AddHook(&moments{name: "set", after: at(1, func() {
			w.mustGo(key)
			late = follower.follow()
		})})
		leader := there.attempt(key)
		led := leader.reserve()
		if led.fresh {
			leader.mustRelease()
		}
		if got := await(t, "the follower", late); !got.fresh {
			t.Errorf("a follower got %s, want to be fresh", got.body())
		}
		follower.mustRelease()
		return !led.fresh
	})
}

// Behaviour 8. The same where the leader has waited and is told of the Commit: it
// learns how long the record lives, and however soon that is over nobody is given it
// who comes then.
func TestFollowerOfAWaiterIsNotGivenWhatHasExpired(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]idem.AttemptConfig{"Forgotten": {}, "Remembered": {RememberExpired: 20 * time.Millisecond}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, given{})
			longer(t, 20*time.Millisecond, func(key string, ttl time.Duration) bool {
				there := w.waiter()
				owner := w.attemptWith(key, config).mustBeFreshFor(ttl)
				var late <-chan reserved
				follower := there.attempt(key)
				there.client.AddHook(&moments{after: at(3, func() {
					w.mustGo(key)
					late = follower.follow()
				})})
				leader := there.attempt(key)
				waiting := leader.start()
				eventually(t, "the lease is marked", func() bool { return strings.HasSuffix(w.record(key), "W") })
				owner.mustCommit("paid")
				got := await(t, "the leader", waiting)
				if got.fresh {
					leader.mustRelease()
				}
				if late == nil {
					return false
				}
				if got := await(t, "the follower", late); !got.fresh {
					t.Errorf("a follower got %s, want to be fresh", got.body())
				}
				follower.mustRelease()
				return !got.fresh
			})
		})
	}
}

// Behaviour 8. A key that was forgotten before a request came is free for it,
// although a look that found it expired is still on its way back.
func TestFollowerIsNotRefusedForWhatWasForgottenBeforeItCame(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	longer(t, 30*time.Millisecond, func(key string, remember time.Duration) bool {
		there, config := w.waiter(), idem.AttemptConfig{RememberExpired: remember}
		w.attemptWith(key, config).mustBeFreshFor(time.Millisecond).mustCommit("paid")
		w.mustExpire(key)
		var late <-chan reserved
		follower := there.attemptWith(key, config)
		there.client.AddHook(&moments{after: at(1, func() {
			w.mustGo(key)
			late = follower.follow()
		})})
		leader := there.attemptWith(key, config)
		led := leader.reserve()
		if led.fresh {
			leader.mustRelease()
		}
		if got := await(t, "the follower", late); !got.fresh {
			t.Errorf("a follower got %s, want to be fresh", got.body())
		}
		follower.mustRelease()
		return errors.Is(led.err, idem.ErrKeyExpired)
	})
}

// Behaviour 8. A response that was committed in this process, and expired before
// the word of it came back, is not handed to who came after that: neither beside
// one who waited already, nor where nobody did and it is the next attempt that is
// waited for.
func TestCommitHereIsNotHandedToWhoCameAfterItsExpiry(t *testing.T) {
	t.Parallel()
	const ttl = 50 * time.Millisecond
	t.Run("BesideAWaiter", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, given{}).waiter()
		owner := w.attempt("k").mustBeFreshFor(ttl)
		waiting := w.attempt("k").start()
		eventually(t, "a duplicate waits", func() bool { return w.store.Waiting("k") })
		var late <-chan reserved
		w.client.AddHook(&moments{after: at(1, func() {
			w.mustGo("k")
			late = w.attempt("k").follow()
		})})
		owner.mustCommit("paid")
		if got := await(t, "who waited", waiting); got.body() != "paid" {
			t.Errorf("who waited got %s", got.body())
		}
		if got := await(t, "who came late", late); !got.fresh {
			t.Errorf("who came late got %s, want to be fresh", got.body())
		}
	})
	t.Run("AtTheNextAttempt", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, given{}).waiter()
		owner, next := w.attempt("k").mustBeFreshFor(ttl), w.process(given{}).attempt("k")
		var late <-chan reserved
		w.client.AddHook(&moments{after: at(1, func() {
			w.mustGo("k")
			next.mustBeFresh()
			late = w.attempt("k").start()
			eventually(t, "a duplicate waits", func() bool { return w.store.Subscribed("k") })
		})})
		owner.mustCommit("paid")
		next.mustCommit("paid again")
		if got := await(t, "who came late", late); got.body() != "paid again" {
			t.Errorf("who came late got %s", got.body())
		}
	})
}
