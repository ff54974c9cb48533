package redisstore_test

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/internal/redisserver"
	"github.com/pgidem/pgidem/redisstore"
)

const (
	// ttl is what attempts reserve for.
	ttl = time.Hour
	// remember is much longer.
	remember = 1000 * time.Hour
)

// remembered makes a record of key with body that leaves a tombstone.
func (w *world) remembered(key, body string) {
	w.Helper()
	w.attemptWith(key, idem.AttemptConfig{RememberExpired: remember}).mustBeFresh().mustCommit(body)
}

func (a *attempt) mustFail(want error) {
	a.Helper()
	if r := a.reserve(); !errors.Is(r.err, want) {
		a.Fatalf("Reserve: %s, want %v", r.body(), want)
	}
}

func (w *world) size(key string) int64 { return w.client.StrLen(w.Context(), w.prefix+key).Val() }

// Behaviour 8. The response goes when its record is first found ended; when the
// key goes does not change with that.
func TestTombstoneIsCompact(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	w.remembered("k", strings.Repeat("x", 10_000))
	w.attempt("k").mustReplay(strings.Repeat("x", 10_000))
	w.age(ttl)
	if n := w.size("k"); n < 10_000 {
		t.Fatalf("the record has %d bytes: the test would see nothing shrink", n)
	}
	w.attempt("k").mustFail(idem.ErrKeyExpired)
	if n := w.size("k"); n > 100 {
		t.Errorf("the tombstone has %d bytes", n)
	}
	left := w.client.PTTL(t.Context(), w.prefix+"k").Val()
	if left > remember+time.Second || left < remember-time.Minute {
		t.Errorf("the tombstone goes in %v, want %v", left, remember)
	}
	w.attempt("k").mustFail(idem.ErrKeyExpired)
}

func TestExpiredKeyTakesOneRoundTrip(t *testing.T) {
	t.Parallel()
	w, p := tapped(t, redis.Options{PoolSize: 1})
	if err := redisstore.LoadScripts(t.Context(), w.client); err != nil {
		t.Fatal(err)
	}
	w.attempt("warm").mustBeFresh().mustCommit("warm")
	if n := p.during(func() { w.remembered("k", "paid") }); n != 2 {
		t.Errorf("a fresh request took %d round trips, want 2", n)
	}
	w.age(ttl)
	for range 2 {
		retry := w.attemptWith("k", idem.AttemptConfig{RememberExpired: remember})
		if n := p.during(func() { retry.mustFail(idem.ErrKeyExpired) }); n != 1 {
			t.Errorf("a refusal took %d round trips, want 1", n)
		}
	}
}

// Behaviour 8. A server that has no memory to write a tombstone with still knows
// that the key has expired.
func TestFullServerRefusesAnExpiredKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{Addr: ownServer(t, redisserver.Options{}).Addr()})
	w.remembered("k", "paid")
	w.age(ttl)
	if err := w.client.ConfigSet(t.Context(), "maxmemory", "1").Err(); err != nil {
		t.Fatal(err)
	}
	w.attempt("other").mustFail(idem.ErrStoreUnavailable)
	w.attempt("k").mustFail(idem.ErrKeyExpired)
	if err := w.client.ConfigSet(t.Context(), "maxmemory", "0").Err(); err != nil {
		t.Fatal(err)
	}
	w.attempt("k").mustFail(idem.ErrKeyExpired)
}

// Behaviour 8. The owner itself cannot bring back what has ended, whether its
// tombstone stands already or not.
func TestOwnersLateSecondCommitLeavesTheKeyExpired(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	owner := w.attemptWith("k", idem.AttemptConfig{RememberExpired: remember}).mustBeFresh()
	owner.mustCommit("paid")
	w.age(ttl)
	for range 2 {
		if err := owner.commit("paid"); !errors.Is(err, idem.ErrNotReserved) {
			t.Errorf("second Commit after the end of the record: %v, want ErrNotReserved", err)
		}
		w.attempt("k").mustFail(idem.ErrKeyExpired)
	}
}

// Behaviour 8. What may be asked for need not be a time that fits beside the TTL.
func TestRememberForeverIsCommitted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	w.attemptWith("k", idem.AttemptConfig{RememberExpired: math.MaxInt64}).mustBeFresh().mustCommit("paid")
	w.attempt("k").mustReplay("paid")
	w.age(ttl)
	w.attempt("k").mustFail(idem.ErrKeyExpired)
}

// The parts of records as version 1 has written them.
const (
	inTheYear2255 = "\x00\x1f\xff\xff\xff\xff\xff\xff"
	longAgo       = "\x00\x05\xe5\xc4\xe9\xab\xcd\x00"
	someAttempt   = "6ba7b810-9dad-41d1-80b4-00c04fd430c8"
	someHash      = "\x00\x00\x00\x01h"
	someResponse  = "\x92\x03\x0a\x01\x06Accept\x01\x00hello"
)

// Behaviours 8, 13.
func TestRememberedRecordsOfVersion1StayReadable(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	w.set("replayed", "\x01R"+inTheYear2255+longAgo+someAttempt+inTheYear2255+someHash+someResponse)
	w.set("ended", "\x01R"+longAgo+longAgo+someAttempt+inTheYear2255+someHash+someResponse)
	w.set("tombstone", "\x01T"+inTheYear2255+longAgo+someAttempt+someHash)
	w.set("forgotten", "\x01R"+longAgo+longAgo+someAttempt+longAgo+someHash+someResponse)
	w.set("forgotten tombstone", "\x01T"+longAgo+longAgo+someAttempt+someHash)
	w.attempt("replayed").mustReplay("hello")
	w.attempt("ended").mustFail(idem.ErrKeyExpired)
	w.attempt("tombstone").mustFail(idem.ErrKeyExpired)
	w.attempt("forgotten").mustBeFresh().mustRelease()
	w.attempt("forgotten tombstone").mustBeFresh().mustRelease()
}

// Behaviour 13. Nothing that was cut short becomes a tombstone that looks whole.
func TestUnreadableRememberedRecordIsNeverRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	live := "\x01R" + inTheYear2255 + longAgo + someAttempt + inTheYear2255 + someHash + someResponse
	ended := "\x01R" + longAgo + longAgo + someAttempt + inTheYear2255 + someHash + someResponse
	tombstone := "\x01T" + inTheYear2255 + longAgo + someAttempt + someHash
	for name, broken := range map[string]string{
		"LiveCutBeforeForgotten":  live[:54],
		"LiveCutInForgotten":      live[:60],
		"LiveCutAtHash":           live[:62],
		"LiveCutInResponse":       live[:70],
		"EndedCutInForgotten":     ended[:60],
		"EndedCutAtHash":          ended[:64],
		"EndedCutInHash":          ended[:66],
		"TombstoneCutAtHash":      tombstone[:56],
		"TombstoneCutInHash":      tombstone[:58],
		"TombstoneCutInAttempt":   tombstone[:40],
		"EndedOfTheNextVersion":   "\x02" + ended[1:],
		"TombstoneOfAnotherState": "\x01X" + tombstone[2:],
	} {
		w.set(name, broken)
		for range 2 {
			w.attempt(name).mustFail(idem.ErrRecordUnreadable)
		}
	}
}
