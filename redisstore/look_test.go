package redisstore_test

import (
	"context"
	"encoding/binary"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/redisstore"
)

// commands collects the names of what a client sends, as its hook. It refuses
// those of refused, as a server does that does not know an option.
type commands struct {
	refused string

	mu   sync.Mutex
	sent []string
}

// syntaxError is what such a server answers.
type syntaxError struct{}

func (syntaxError) Error() string { return "ERR syntax error" }
func (syntaxError) RedisError()   {}

func (*commands) DialHook(next redis.DialHook) redis.DialHook { return next }

func (c *commands) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		c.add(cmd)
		if cmd.Name() == c.refused {
			cmd.SetErr(syntaxError{})
			return cmd.Err()
		}
		return next(ctx, cmd)
	}
}

func (c *commands) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		c.add(cmds...)
		return next(ctx, cmds)
	}
}

func (c *commands) add(cmds ...redis.Cmder) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, cmd := range cmds {
		c.sent = append(c.sent, cmd.Name())
	}
}

// during returns what f made the client send.
func (c *commands) during(f func()) []string {
	c.mu.Lock()
	c.sent = nil
	c.mu.Unlock()
	f()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sent
}

// watched is a process with the records of w whose commands are collected.
func (w *world) watched(refused string) (*world, *commands) {
	w.Helper()
	there, sent := w.process(given{}), &commands{refused: refused}
	if err := redisstore.LoadScripts(w.Context(), w.client); err != nil {
		w.Fatal(err)
	}
	there.client.AddHook(sent)
	return there, sent
}

func wantSent(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s sent %q, want %q", what, got, want)
	}
}

// A replay is one plain command that changes nothing, whoever has completed the
// record; and a fresh request runs one script.
func TestReplayIsOnePlainCommand(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	w.attempt("theirs").mustBeFresh().mustCommit("of another process")
	there, sent := w.watched("")
	wantSent(t, "a fresh request", sent.during(func() { there.attempt("k").mustBeFresh().mustCommit("kept") }), "set", "evalsha")
	record, ends := w.record("k"), w.client.PExpireTime(t.Context(), w.prefix+"k").Val()
	for range 2 {
		wantSent(t, "a replay", sent.during(func() { there.attempt("k").mustReplay("kept") }), "set")
		wantSent(t, "a replay", sent.during(func() { there.attempt("theirs").mustReplay("of another process") }), "set")
	}
	if w.record("k") != record || w.client.PExpireTime(t.Context(), w.prefix+"k").Val() != ends {
		t.Error("a replay has changed the record or its time")
	}
}

// Behaviours 1, 7, 8. What a plain command cannot judge is left to the script: a
// lease, alive or ended, a tombstone, a record that is to be remembered.
func TestPlainCommandJudgesNoOtherState(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	there, sent := w.watched("")
	owner := w.attempt("k").mustBeFresh()
	wantSent(t, "a look at a lease", sent.during(func() {
		there.attemptWith("k", idem.AttemptConfig{NoWait: true}).mustFail(idem.ErrInFlight)
	}), "set", "evalsha")
	owner.mustCommit("kept")
	w.attempt("ended").mustBeFresh()
	w.remembered("r", "remembered")
	there.attempt("r").mustReplay("remembered")
	w.age(ttl)
	there.attempt("ended").mustBeFresh().mustCommit("taken over")
	there.attempt("k").mustBeFresh().mustRelease()
	there.attempt("r").mustFail(idem.ErrKeyExpired)
	there.attempt("r").mustFail(idem.ErrKeyExpired)
}

// A server of before 7.0 refuses NX and GET together. It is asked once.
func TestServerWithoutThePlainCommand(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	w.attempt("first").mustBeFresh().mustCommit("kept")
	there, sent := w.watched("set")
	wantSent(t, "the first look", sent.during(func() { there.attempt("first").mustReplay("kept") }), "set", "evalsha")
	wantSent(t, "a fresh request", sent.during(func() { there.attempt("k").mustBeFresh().mustCommit("kept") }), "evalsha", "evalsha")
	wantSent(t, "a replay", sent.during(func() { there.attempt("k").mustReplay("kept") }), "evalsha")
}

// Behaviour 8. A completed record's key goes when its TTL is over, and a remembered
// one's at the very moment that it is forgotten at: no plain command finds a record
// whose time is over.
func TestKeyGoesWhenTheRecordExpires(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	ends := func(key string, at int) int64 {
		return int64(binary.BigEndian.Uint64([]byte(w.record(key)[at:]))) //nolint:gosec // a time
	}
	// The key is there in the whole of the millisecond that it has for its end.
	goes := func(key string) time.Time {
		return time.Unix(0, int64(w.client.PExpireTime(t.Context(), w.prefix+key).Val()+time.Millisecond))
	}
	a := w.attempt("k").mustBeFresh()
	earliest := w.client.Time(t.Context()).Val().Add(ttl)
	a.mustCommit("kept")
	latest := w.client.Time(t.Context()).Val().Add(ttl + time.Millisecond)
	if at := goes("k"); at.Before(earliest) || at.After(latest) {
		t.Errorf("the key goes at %v, want it between %v and %v", at, earliest, latest)
	}
	if at := time.UnixMicro(ends("k", 2)); at.Before(latest.AddDate(200, 0, 0)) {
		t.Errorf("a script would take the record for ended at %v", at)
	}
	w.remembered("r", "kept")
	if at := goes("r"); at.UnixMicro() != ends("r", 54) {
		t.Errorf("the key goes at %d, and is forgotten at %d microseconds", at.UnixMicro(), ends("r", 54))
	}
}

// Who comes while another's look is under way does not look again, unless that
// takes long.
func TestDuplicatesShareOneLook(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	w.attempt("k").mustBeFresh().mustCommit("paid")
	shared := func() bool {
		there, sent := w.watched("")
		var followers []<-chan reserved
		there.client.AddHook(&moments{name: "set", after: at(1, func() {
			for range 10 {
				followers = append(followers, there.attempt("k").follow())
			}
		})})
		looks := sent.during(func() {
			there.attempt("k").mustReplay("paid")
			for _, f := range followers {
				if got := await(t, "a follower", f); got.body() != "paid" {
					t.Errorf("a follower got %s", got.body())
				}
			}
		})
		return len(looks) == 1
	}
	// On a busy machine they may all come too late for it.
	for range 10 {
		if shared() {
			return
		}
	}
	t.Error("eleven requests have never looked once")
}
