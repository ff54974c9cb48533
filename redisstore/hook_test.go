package redisstore_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/redisstore"
)

// breaker is a hook that refuses every call while it is open.
type breaker struct{ open, refused atomic.Bool }

var errOpen = errors.New("circuit breaker is open")

func (*breaker) DialHook(next redis.DialHook) redis.DialHook { return next }

func (b *breaker) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if b.open.Load() {
			b.refused.Store(true)
			return errOpen
		}
		return next(ctx, cmd)
	}
}

func (b *breaker) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if b.open.Load() {
			b.refused.Store(true)
			return errOpen
		}
		return next(ctx, cmds)
	}
}

// batch is so many calls at a time that some travel together.
const batch = 40

// A hook that refuses a batch leaves no error in its commands.
//
// Behaviour 9.
func TestHookThatRefusesABatchLosesNoLease(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{Config: redisstore.Config{Lease: 3 * time.Second}})
	var b breaker
	w.client.AddHook(&b)
	var started, clients sync.WaitGroup
	started.Add(batch)
	var lost atomic.Int32
	leave := make(chan struct{})
	site := w.serve(func(rw http.ResponseWriter, r *http.Request) {
		started.Done()
		select {
		case <-r.Context().Done():
			lost.Add(1)
			t.Log(context.Cause(r.Context()))
		case <-leave:
		}
		rw.WriteHeader(http.StatusCreated)
	})
	for i := range batch {
		clients.Go(func() { postKey(t, site.URL, fmt.Sprint("k", i)) })
	}
	started.Wait()
	b.open.Store(true)
	eventually(t, "a renewal is refused", b.refused.Load)
	time.Sleep(300 * time.Millisecond) // the others are, too
	b.open.Store(false)
	time.Sleep(500 * time.Millisecond) // and are repeated
	close(leave)
	clients.Wait()
	if n := lost.Load(); n > 0 {
		t.Errorf("%d of %d handlers were told that their lease is lost: none was", n, batch)
	}
}

func TestHookThatRefusesABatchFailsReleasesAndCommits(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	var b breaker
	w.client.AddHook(&b)
	attempts := make([]*attempt, batch)
	for i := range attempts {
		attempts[i] = w.attempt(fmt.Sprint("k", i)).mustBeFresh()
	}
	b.open.Store(true)
	var all sync.WaitGroup
	for i, a := range attempts {
		all.Go(func() {
			err := a.commit("paid")
			if i%2 == 0 {
				err = a.store.Release(context.WithoutCancel(a.ctx), a.key)
			}
			if !errors.Is(err, idem.ErrStoreUnavailable) {
				t.Errorf("%v of what never left the process, want ErrStoreUnavailable", err)
			}
		})
	}
	all.Wait()
	b.open.Store(false)
	for i, a := range attempts {
		if i%2 == 1 {
			a.mustCommit("paid") // its lease was renewed for that
		}
	}
}

// refusing is a hook that says of a script which has run that it was refused, as when
// its repetition is.
type refusing struct{ left atomic.Int32 }

type refusal string

func (r refusal) Error() string { return string(r) }
func (refusal) RedisError()     {}

func (*refusing) DialHook(next redis.DialHook) redis.DialHook { return next }

func (*refusing) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (r *refusing) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if cmd.Name() == evalsha && r.left.Add(-1) >= 0 {
			err = refusal("READONLY You can't write against a read only replica.")
			cmd.SetErr(err)
		}
		return err
	}
}

// What a script has reserved that was refused when it was repeated is given up.
func TestRefusedScriptIsUndone(t *testing.T) {
	t.Parallel()
	hour := redisstore.Config{Lease: time.Hour} // no lease ends by itself
	w := newWorld(t, given{Config: hour})
	there := w.process(given{Config: hour})
	remember := idem.AttemptConfig{NoWait: true, RememberExpired: time.Hour} // a script looks
	w.attemptWith("warm", remember).mustBeFresh().mustCommit("warm")
	var r refusing
	w.client.AddHook(&r)
	r.left.Store(1)
	if got := w.attemptWith("k", remember).reserve(); !errors.Is(got.err, idem.ErrStoreUnavailable) {
		t.Fatalf("Reserve: %s, want ErrStoreUnavailable", got.body())
	}
	eventually(t, "the lease is undone", func() bool { return there.attemptWith("k", remember).reserve().fresh })
}
