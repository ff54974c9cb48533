package txstore_test

import (
	"math"
	"math/rand/v2"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/txstore"
)

// Behaviour 4.
func TestResponseComesBackAsItWas(t *testing.T) {
	t.Parallel()
	large := make([]byte, 1<<20)
	for i := range large {
		large[i] = byte(rand.Uint32())
	}
	header := http.Header{
		"Content-Type": {"application/json"},
		"Link":         {"<b>; rel=x", "<a>; rel=y", ""},
		"X-Binary":     {"\xff\x00\x80"},
		"X-None":       {},
	}
	for _, mode := range execModes {
		w := newWorld(t, given{Mode: mode})
		for name, want := range map[string]idem.Cached{
			"large":  {Status: 200, Header: header, Body: large},
			"binary": {Status: 599, Header: http.Header{"A": {"1"}}, Body: []byte("\x00'\\\xff\r\n$1")},
			"empty":  {Status: 204, Header: http.Header{}, Body: []byte{}},
		} {
			a := w.attempt(name).withHash("v1:'\\hash").mustBeFresh()
			before := time.Now()
			if err := a.store.Commit(a.ctx, a.key, a.hash, want); err != nil {
				t.Fatalf("%s %s: %v", mode, name, err)
			}
			got := w.attempt(name).mustReplay(string(want.Body))
			if got.Status != want.Status || !reflect.DeepEqual(got.Header, want.Header) || got.RequestHash != a.hash {
				t.Errorf("%s %s: replay = %d %v %q, want %d %v", mode, name, got.Status, got.Header, got.RequestHash, want.Status, want.Header)
			}
			if off := got.StoredAt.Sub(before).Abs(); off > time.Minute {
				t.Errorf("%s %s: stored %v off", mode, name, off)
			}
		}
	}
}

// Behaviour 59.
func TestFollowersGetCopies(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	a := w.attempt("k").mustBeFresh()
	const followers = 4
	var waiting []<-chan reserved
	for range followers {
		waiting = append(waiting, w.attempt("k").start())
	}
	eventually(t, "all follow", func() bool { return txstore.Followers(w.store, "k") == followers })
	response := idem.Cached{Status: 201, Header: http.Header{"X": {"as it was"}}, Body: []byte("as it was")}
	if err := w.store.Commit(a.ctx, "k", "h", response); err != nil {
		t.Fatal(err)
	}
	scribble(&response)
	for _, done := range waiting {
		r := await(t, "a follower", done)
		if r.body() != "as it was" || r.existing.Header.Get("X") != "as it was" {
			t.Fatalf("a follower got %s and header %v", r.body(), r.existing)
		}
		scribble(r.existing)
	}
	w.attempt("k").mustReplay("as it was")
}

func scribble(c *idem.Cached) {
	for i := range c.Body {
		c.Body[i] = '!'
	}
	c.Header["X"][0] = "!"
	c.Header.Set("Y", "!")
}

// Behaviour 13.
func TestUnreadableRecordIsAnError(t *testing.T) {
	t.Parallel()
	for _, sql := range []string{
		`UPDATE pgidem_records SET format = 2`,
		`UPDATE pgidem_records SET format = -1`,
		`UPDATE pgidem_records SET header = '\x05'`,
		`UPDATE pgidem_records SET header = ''`,
		`UPDATE pgidem_records SET header = header || '\x00'`,
	} {
		w := newWorld(t, given{Conns: 1})
		w.attempt("k").mustBeFresh().mustCommit("paid")
		w.exec(sql)
		for range 2 {
			w.attempt("k").mustFail(idem.ErrRecordUnreadable)
		}
		ctx, tx := w.begin(pgx.TxOptions{})
		w.within(ctx, "k").mustFail(idem.ErrRecordUnreadable)
		mustEnd(t, tx.Rollback)
		if n := w.pool.Stat().NewConnsCount(); n != 1 {
			t.Errorf("%d connections were opened, want the one to be used again", n)
		}
		// Once its time is over it is like none: nobody would replay it.
		w.expire("k")
		w.attempt("k").mustBeFresh().mustCommit("new")
		w.attempt("k").mustReplay("new")
	}
}

// Behaviours 10, 57.
func TestLongKeysAreCommittedUpToTheBound(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	// Bytes that no compression makes short enough for an index.
	random := func(n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte('!' + rand.IntN(94))
		}
		return string(b)
	}
	for _, key := range []string{random(255), random(768) + "\x1f" + random(255), strings.Repeat("日", 341) + "x", " '\\\"%$1;--"} {
		a := w.attempt(key).mustBeFresh()
		a.pay()
		a.mustCommit(key)
		w.attempt(key).mustReplay(key)
		w.mustHold(key, 1, 1)
	}
	for _, key := range []string{random(1025), "a\x00b", "\xff", ""} {
		w.attempt(key).mustFail(idem.ErrKeyInvalid)
	}
}

// A hash that no column takes is refused before the handler has run for nothing.
func TestHashMustBeText(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	for _, hash := range []string{"a\x00b", "\xff"} {
		for name, store := range map[string]idem.Store{"transaction": w.store, "lease": w.store.Leased()} {
			a := newAttempt(t, t.Context(), store, "k", idem.AttemptConfig{}).withHash(hash)
			if _, fresh, err := a.reserve(); fresh || err == nil || !strings.Contains(err.Error(), "requestHash") {
				t.Errorf("%s: Reserve with hash %q = %t, %v; want an error that names it", name, hash, fresh, err)
			}
		}
	}
}

// The longest times that a record and then its key can be kept are longer, taken
// together, than a time.Duration.
func TestKeyIsRememberedForTheLongestTimes(t *testing.T) {
	t.Parallel()
	for name, door := range map[string]func(*world, *attempt){
		"CommitAll":      func(*world, *attempt) {},
		"CommitResponse": func(_ *world, a *attempt) { respondOnly(a) },
		"Leased":         func(w *world, a *attempt) { a.store = w.store.Leased() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, given{})
			a := newAttempt(t, t.Context(), w.store, "k", idem.AttemptConfig{RememberExpired: math.MaxInt64})
			a.ttl = math.MaxInt64
			door(w, a)
			a.mustBeFresh().mustCommit("paid")
			w.process(given{}).attempt("k").mustReplay("paid")
			if n := w.count(`SELECT extract(year FROM age(forgotten_at, stored_at))::int FROM pgidem_records`); n != 399 {
				t.Errorf("the key is remembered for %d years, want 399", n)
			}
		})
	}
}
