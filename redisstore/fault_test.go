package redisstore_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/internal/redisserver"
	"github.com/pgidem/pgidem/redisstore"
)

const (
	// evalsha is in every call of a script, and in nothing else.
	evalsha = "evalsha"
	// plainSet is in the plain command that reserves, and in nothing else.
	plainSet = "\r\nnx\r\n"
)

// The client repeats a call whose reply was lost, and the attempt finds what the
// first has done.
func TestLostReplyIsRepeatedByTheClient(t *testing.T) {
	t.Parallel()
	w, p := tapped(t, redis.Options{MaxRetries: 3})
	w.attempt("warm").mustBeFresh().mustCommit("warm")
	a := w.attempt("k")
	p.loseReplyTo(plainSet)
	a.mustBeFresh()
	p.loseReplyTo(evalsha)
	a.mustCommit("paid")
	w.attempt("k").mustReplay("paid")
	b := w.attempt("released").mustBeFresh()
	p.loseReplyTo(evalsha)
	b.mustRelease()
	w.attempt("released").mustBeFresh().mustRelease()
	if n := p.lostReplies(); n != 3 {
		t.Errorf("%d replies were lost, want 3: the test has tested nothing", n)
	}
}

// Without the client's help the caller is told, nobody holds the key, and the
// same attempt can reserve it again.
func TestReserveWhoseReplyWasLostLeavesNothing(t *testing.T) {
	t.Parallel()
	w, p := tapped(t, redis.Options{MaxRetries: -1})
	w.attempt("warm").mustBeFresh().mustCommit("warm")
	a := w.attempt("k")
	p.loseReplyTo(plainSet)
	if r := a.reserve(); !errors.Is(r.err, idem.ErrStoreUnavailable) {
		t.Fatalf("Reserve: %s, want ErrStoreUnavailable", r.body())
	}
	began := time.Now()
	a.mustBeFresh().mustRelease()
	w.attempt("k").mustBeFresh().mustRelease()
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("the key was free after %v only: a lease had to end", took)
	}
}

// A caller that leaves while its call is under way leaves no reservation.
func TestReserveWhoseCallerLeftLeavesNothing(t *testing.T) {
	t.Parallel()
	server := ownServer(t, redisserver.Options{})
	w := newWorld(t, given{Addr: server.Addr()})
	w.attempt("warm").mustBeFresh().mustCommit("warm")
	other := redis.NewClient(&redis.Options{Addr: server.Addr()})
	defer func() { _ = other.Close() }()
	if err := other.Do(t.Context(), "CLIENT", "PAUSE", "500").Err(); err != nil {
		t.Fatal(err)
	}
	a := w.attempt("k")
	ctx, cancel := context.WithTimeout(a.ctx, 100*time.Millisecond)
	defer cancel()
	_, fresh, err := w.store.Reserve(ctx, "k", "h", time.Hour)
	if fresh || !errors.Is(err, idem.ErrStoreUnavailable) || errors.Is(err, idem.ErrWaitTimeout) {
		t.Fatalf("Reserve: fresh %t, error %v; want ErrStoreUnavailable", fresh, err)
	}
	began := time.Now()
	w.attempt("k").mustBeFresh().mustRelease()
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("the key was free after %v only: a lease had to end", took)
	}
}

// A Commit whose outcome is unknown can be called again.
func TestCommitWhoseReplyWasLostIsRepeated(t *testing.T) {
	t.Parallel()
	w, p := tapped(t, redis.Options{MaxRetries: -1})
	a := w.attempt("k").mustBeFresh()
	p.loseReplyTo(evalsha)
	// The first try of a server's life may be an EVAL.
	if err := redisstore.LoadScripts(t.Context(), w.client); err != nil {
		t.Fatal(err)
	}
	if err := a.commit("paid"); !errors.Is(err, idem.ErrStoreUnavailable) {
		t.Fatalf("Commit: %v, want ErrStoreUnavailable", err)
	}
	a.mustCommit("paid again")
	w.attempt("k").mustReplay("paid")
}

// The server forgets its scripts with a restart or SCRIPT FLUSH.
func TestForgottenScriptsAreSentAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{Addr: ownServer(t, redisserver.Options{}).Addr()})
	flush := func() {
		if err := w.client.ScriptFlush(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
	}
	a := w.attempt("k").mustBeFresh()
	flush()
	a.mustCommit("paid")
	flush()
	w.attempt("k").mustReplay("paid")
}

// Behaviours 7, 9. What was reserved is gone: the owner learns of it while its
// handler runs, and its Commit records nothing.
func TestFlushedServerEndsTheLease(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{
		Addr:   ownServer(t, redisserver.Options{}).Addr(),
		Config: redisstore.Config{Lease: time.Second},
	})
	a := w.attempt("k").mustBeFresh()
	if err := w.client.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	if err := a.commit("paid"); !errors.Is(err, idem.ErrLeaseLost) {
		t.Errorf("Commit: %v, want ErrLeaseLost", err)
	}
	w.attempt("k").mustBeFresh().mustCommit("next")
	w.attempt("k").mustReplay("next")
}

// Behaviour 7.
func TestCommitAfterATakeoverIsErrLeaseLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	stale := w.attempt("k").mustBeFresh()
	w.age(30 * time.Second)
	next := w.attempt("k").mustBeFresh()
	if err := stale.commit("stale"); !errors.Is(err, idem.ErrLeaseLost) {
		t.Errorf("Commit of the stale owner: %v, want ErrLeaseLost", err)
	}
	stale.mustRelease()
	next.mustCommit("next")
	w.attempt("k").mustReplay("next")
}

// A lease that has ended and that nobody took over is still its owner's.
func TestEndedLeaseThatNobodyTookIsCommitted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	a := w.attempt("k").mustBeFresh()
	w.age(40 * time.Second)
	a.mustCommit("late")
	w.attempt("k").mustReplay("late")
}

// The server crashes and comes back with its data while a handler runs and a
// duplicate waits in another process.
func TestRestartWhileADuplicateWaits(t *testing.T) {
	t.Parallel()
	server := ownServer(t, redisserver.Options{Durable: true})
	w := newWorld(t, given{Addr: server.Addr()})
	a := w.attempt("k").mustBeFresh()
	there := w.process(given{})
	waiting := there.attempt("k").start()
	eventually(t, "the duplicate has subscribed", func() bool { return there.store.Subscribed("k") })
	if err := server.Halt(); err != nil {
		t.Fatal(err)
	}
	if r := w.attempt("other").reserve(); !errors.Is(r.err, idem.ErrStoreUnavailable) {
		t.Errorf("Reserve without a server: %s, want ErrStoreUnavailable", r.body())
	}
	if err := server.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the commit succeeds", func() bool { return a.commit("paid") == nil })
	got := await(t, "the duplicate", waiting)
	// A probe while the server was away is told to its caller, who tries again.
	if got.body() != "paid" && !errors.Is(got.err, idem.ErrStoreUnavailable) {
		t.Errorf("the duplicate got %s", got.body())
	}
	there.attempt("k").mustReplay("paid")
}

// Behaviour 13.
func TestUnreadableRecordIsNeverRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	w.attempt("k").mustBeFresh().mustCommit("paid")
	record := w.record("k")
	for name, broken := range map[string]string{
		"Empty":        " ",
		"CutInHead":    record[:20],
		"CutAtHash":    record[:56],
		"CutInHash":    record[:58],
		"CutBeforeEnd": record[:60],
		"NextVersion":  "\x02" + record[1:],
		"NoSuchState":  record[:1] + "X" + record[2:],
	} {
		t.Run(name, func(t *testing.T) {
			w.set("k", broken)
			if r := w.attempt("k").reserve(); !errors.Is(r.err, idem.ErrRecordUnreadable) {
				t.Errorf("Reserve: %s, want ErrRecordUnreadable", r.body())
			}
		})
	}
	if err := w.client.Del(t.Context(), w.prefix+"k").Err(); err != nil {
		t.Fatal(err)
	}
	w.client.HSet(t.Context(), w.prefix+"k", "some", "hash")
	if r := w.attempt("k").reserve(); !errors.Is(r.err, idem.ErrRecordUnreadable) {
		t.Errorf("Reserve of a key of another type: %s, want ErrRecordUnreadable", r.body())
	}
}

// Behaviour 13. A record as version 1 has written it.
func TestRecordOfVersion1StaysReadable(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	w.set("k", "\x01C"+ // version, completed
		"\x00\x1f\xff\xff\xff\xff\xff\xff"+ // expires in the year 2255
		"\x00\x05\xe5\xc4\xe9\xab\xcd\x00"+ // completed
		"6ba7b810-9dad-41d1-80b4-00c04fd430c8"+ // attempt
		"\x00\x00\x00\x01h"+ // request hash
		"\x92\x03"+ // status 201
		"\x0a\x01\x06Accept\x01\x00"+"hello") // header of 10 bytes, body
	r := w.attempt("k").reserve()
	if r.body() != "hello" || r.existing.Status != 201 || r.existing.RequestHash != "h" || len(r.existing.Header["Accept"]) != 1 {
		t.Fatalf("Reserve: %s, %+v", r.body(), r.existing)
	}
}
