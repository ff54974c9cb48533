package redisstore_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/internal/redisserver"
	"github.com/pgidem/pgidem/redisstore"
)

// A server that does not answer holds nobody up for longer than CallTimeout, and
// each call has all of it: those that came later too, and the first after a while
// in which there was none.
func TestSilentServerIsGivenUpAfterTheCallTimeout(t *testing.T) {
	t.Parallel()
	const limit = 300 * time.Millisecond
	addr := ownServer(t, redisserver.Options{}).Addr()
	w := newWorld(t, given{
		Addr: addr, Client: redis.Options{ReadTimeout: time.Minute}, // it would end the wait too
		Config: redisstore.Config{CallTimeout: limit},
	})
	owner := w.attempt("owned").mustBeFresh()
	resume := paused(t, addr)
	calls := []func() error{func() error { return owner.commit("paid") }}
	for i := range 4 {
		calls = append(calls, func() error { return w.attempt(fmt.Sprint("k", i)).reserve().err })
	}
	for range 2 {
		took := make(chan time.Duration, len(calls))
		for _, call := range calls {
			go func() {
				began := time.Now()
				if err := call(); !errors.Is(err, idem.ErrStoreUnavailable) || errors.Is(err, idem.ErrWaitTimeout) {
					t.Errorf("%v, want ErrStoreUnavailable", err)
				}
				took <- time.Since(began)
			}()
			<-time.After(limit / time.Duration(len(calls)))
		}
		for range calls {
			if d := await(t, "a call", took); d < limit || d > patience/2 {
				t.Errorf("given up after %v, want %v", d, limit)
			}
		}
	}
	resume()
	eventually(t, "the Commit succeeds", func() bool { return owner.commit("paid") == nil })
	w.attempt("owned").mustReplay("paid")
	eventually(t, "what nobody waits for any more is undone", func() bool { return w.attempt("k1").reserve().fresh })
}

// The answer to a call that was given up comes when its caller has gone on. What
// the two do with the call is not ordered, which only a run with -race can tell, and
// only where nothing else orders it: not beside other tests.
func TestLateAnswerDoesNotMeetItsCaller(t *testing.T) {
	const limit = 50 * time.Millisecond
	addr := ownServer(t, redisserver.Options{}).Addr()
	w := newWorld(t, given{Addr: addr, Config: redisstore.Config{CallTimeout: limit}})
	w.attempt("warm").mustBeFresh().mustRelease()
	if err := w.client.Do(t.Context(), "CLIENT", "PAUSE", "100", "WRITE").Err(); err != nil {
		t.Fatal(err)
	}
	if r := w.attempt("k").reserve(); !errors.Is(r.err, idem.ErrStoreUnavailable) {
		t.Errorf("%s, want ErrStoreUnavailable", r.body())
	}
	w.store.Close() // when the answer has come
}
