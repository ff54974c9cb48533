package txstore_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/pgidem/pgidem/internal/wiretap"
)

// Behaviour 8. What had expired before a request came is not replayed to it,
// although a look that saw it alive is still on its way back.
func TestFollowerIsNotGivenWhatExpiredBeforeItCame(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	proxy, way := wiretap.StartURL(t, w.way)
	far := w.process(given{Way: way})
	// The look must come while the record lives, also on a busy machine.
	for ttl := 500 * time.Millisecond; !far.followsALateLook(w, proxy, ttl); ttl *= 2 {
		if ttl > patience/2 {
			t.Fatal("no look came in time")
		}
	}
}

// followsALateLook has a leader and, after the record's expiry, a follower in w
// while it hears nothing of its server, and tells whether the leader's look saw
// the record alive.
func (w *world) followsALateLook(near *world, proxy *wiretap.Proxy, ttl time.Duration) bool {
	w.Helper()
	key := fmt.Sprint("lives ", ttl)
	w.attempt("warm").mustBeFresh().mustRelease()
	first := near.attempt(key)
	first.ttl = ttl
	first.mustBeFresh().mustCommit("paid")
	looked, once := make(chan struct{}), new(sync.Once)
	proxy.Intercept(func(m wiretap.Message) wiretap.Verdict {
		if m.From == wiretap.Server && m.Type == 'D' {
			once.Do(func() { close(looked) })
		}
		return wiretap.Pass
	})
	proxy.Silence(wiretap.Server)
	defer proxy.Restore()
	leader := w.attempt(key)
	led := leader.start()
	await(w.TB, "the leader's look", looked)
	eventually(w.TB, "the record has expired", func() bool {
		return w.count(`SELECT count(*) FROM pgidem_records WHERE key = $1 AND expires_at <= clock_timestamp()`, key) == 1
	})
	follower := w.attempt(key)
	followed := follower.start()
	w.mustFollow(key, 1)
	proxy.Restore()
	inTime := !await(w.TB, "the leader", led).fresh
	if !inTime {
		leader.mustRelease()
	}
	if got := await(w.TB, "the follower", followed); !got.fresh {
		w.Errorf("a follower got %s, want to be fresh", got.body())
	}
	follower.mustRelease()
	return inTime
}
