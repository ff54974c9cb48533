package redisstore_test

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/redisstore"
)

// moments is a hook that lets something happen before or after commands of one name
// that a client sends, each numbered from 1.
type moments struct {
	name          string // "": those that run a script
	before, after func(n int)

	mu sync.Mutex
	n  int
}

func (*moments) DialHook(next redis.DialHook) redis.DialHook { return next }

func (*moments) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (m *moments) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if cmd.Name() != cmp.Or(m.name, evalsha) {
			return next(ctx, cmd)
		}
		m.mu.Lock()
		m.n++
		n := m.n
		m.mu.Unlock()
		if m.before != nil {
			m.before(n)
		}
		err := next(ctx, cmd)
		if m.after != nil {
			m.after(n)
		}
		return err
	}
}

// at makes f happen once, at number want.
func at(want int, f func()) func(int) {
	return func(n int) {
		if n == want {
			f()
		}
	}
}

// waiter is another process with the records of w, whose waiters never poll.
func (w *world) waiter() *world {
	w.Helper()
	if err := redisstore.LoadScripts(w.Context(), w.client); err != nil {
		w.Fatal(err)
	}
	return w.process(given{Config: redisstore.Config{PollInterval: never}})
}

// A Commit publishes nothing unless somebody waits elsewhere.
func TestUnwatchedCommitPublishesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	ear := w.client.Subscribe(t.Context(), w.prefix+"k")
	t.Cleanup(func() { _ = ear.Close() })
	if _, err := ear.Receive(t.Context()); err != nil { // the subscription
		t.Fatal(err)
	}
	heard := ear.Channel()
	a := w.attempt("k").mustBeFresh()
	here := w.attempt("k").start()
	eventually(t, "a duplicate in this process waits", func() bool { return w.store.Waiting("k") })
	a.mustCommit("paid")
	if got := await(t, "the duplicate", here); got.body() != "paid" {
		t.Errorf("the duplicate got %s", got.body())
	}
	if err := w.client.Publish(t.Context(), w.prefix+"k", "the next").Err(); err != nil {
		t.Fatal(err)
	}
	if m := await(t, "a message", heard); m.Payload != "the next" {
		t.Errorf("the Commit has published %q", m.Payload)
	}
}

// The owner commits at each of the moments at which a waiter has made one step
// and not the next: it has looked and has no subscription; it has that, and has not
// marked the lease; it has marked the lease and does not know yet what it found.
func TestCommitBetweenTheStepsOfAWaiter(t *testing.T) {
	t.Parallel()
	for name, steps := range map[string]func(commit func()) *moments{
		"BeforeTheSubscription": func(commit func()) *moments { return &moments{after: at(1, commit)} },
		"BeforeTheMark":         func(commit func()) *moments { return &moments{before: at(2, commit)} },
		"AfterTheMark":          func(commit func()) *moments { return &moments{after: at(2, commit)} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, given{})
			a := w.attempt("k").mustBeFresh()
			there := w.waiter()
			committed := false
			m := steps(func() {
				a.mustCommit("paid")
				committed = true
			})
			there.client.AddHook(m)
			began := time.Now()
			there.attempt("k").mustReplay("paid")
			if took := time.Since(began); !committed || took > patience/2 {
				t.Errorf("committed %t, and the answer came after %v: the lease had to end", committed, took)
			}
		})
	}
}

// The same in the owner's own process, where nobody marks anything: the duplicate
// has looked, and does not wait yet. It hears of it without a subscription.
func TestCommitHereBeforeADuplicateWaits(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{Config: redisstore.Config{PollInterval: never, DisableListen: true}})
	if err := redisstore.LoadScripts(t.Context(), w.client); err != nil {
		t.Fatal(err)
	}
	a := w.attempt("k").mustBeFresh()
	w.client.AddHook(&moments{after: at(1, func() { a.mustCommit("paid") })})
	began := time.Now()
	w.attempt("k").mustReplay("paid")
	if took := time.Since(began); took > patience/2 {
		t.Errorf("the answer came after %v: the lease had to end", took)
	}
}

// A lease that a waiter has marked changes hands without a message, and the waiter
// is told of the end of the next one: that of another attempt, after the end of the
// first, and that of the same, whose reply was lost.
func TestMarkOutlastsTheLease(t *testing.T) {
	t.Parallel()
	for name, next := range map[string]func(*world, *attempt) *attempt{
		"OfAnotherAttempt": func(w *world, _ *attempt) *attempt {
			w.age(30 * time.Second)
			return w.attempt("k").mustBeFresh()
		},
		"OfTheSameAttempt": func(_ *world, a *attempt) *attempt {
			a.mustRelease() // which leaves the lease where it is
			return a.mustBeFresh()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, given{Config: redisstore.Config{HoldAfterDiscard: true}})
			first := w.attempt("k").mustBeFresh()
			there := w.waiter()
			marked := make(chan struct{})
			there.client.AddHook(&moments{after: at(2, func() { close(marked) })})
			waiting := there.attempt("k").start()
			await(t, "the mark", marked)
			second := next(w, first)
			began := time.Now()
			second.mustCommit("paid")
			if got := await(t, "the waiter", waiting); got.body() != "paid" {
				t.Errorf("the waiter got %s", got.body())
			}
			if took := time.Since(began); took > patience/2 {
				t.Errorf("told after %v: the lease had to end", took)
			}
		})
	}
}

// A Commit whose reply was lost is repeated, and finds its record there already.
// Who waits in the same process is answered then, and need not wait for its poll.
func TestRepeatedCommitWakesWhoWaitsHere(t *testing.T) {
	t.Parallel()
	w, p := tapped(t, redis.Options{MaxRetries: -1})
	w = w.process(given{Client: redis.Options{MaxRetries: -1}, Config: redisstore.Config{PollInterval: never, DisableListen: true}})
	if err := redisstore.LoadScripts(t.Context(), w.client); err != nil {
		t.Fatal(err)
	}
	a := w.attempt("k").mustBeFresh()
	waiting := w.attempt("k").start()
	eventually(t, "a duplicate waits", func() bool { return w.store.Waiting("k") })
	p.loseReplyTo(evalsha)
	if err := a.commit("paid"); !errors.Is(err, idem.ErrStoreUnavailable) {
		t.Fatalf("Commit: %v, want ErrStoreUnavailable", err)
	}
	began := time.Now()
	a.mustCommit("paid")
	if got := await(t, "the duplicate", waiting); got.body() != "paid" {
		t.Errorf("the duplicate got %s", got.body())
	}
	if took := time.Since(began); took > patience/2 {
		t.Errorf("answered after %v: the lease had to end", took)
	}
}
