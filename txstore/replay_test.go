package txstore_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/txstore"
)

// statements collects what a process sends, as pgx's tracer.
type statements struct {
	mu   sync.Mutex
	sent []string
}

func (s *statements) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	s.add(data.SQL)
	return ctx
}

func (*statements) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (s *statements) TraceBatchStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceBatchStartData) context.Context {
	for _, q := range data.Batch.QueuedQueries {
		s.add(q.SQL)
	}
	return ctx
}

func (*statements) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}
func (*statements) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData)     {}

func (s *statements) add(sql string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent = append(s.sent, sql)
}

// during returns what f made the process send.
func (s *statements) during(f func()) []string {
	s.mu.Lock()
	s.sent = nil
	s.mu.Unlock()
	f()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sent
}

var doors = map[string]door{"transactional": transactional, "leased": leased}

// A retry of a request that this process has completed: one SELECT, no
// transaction, no lock, nothing that writes.
func TestReplayOfOwnKeyIsOneSelect(t *testing.T) {
	t.Parallel()
	for name, through := range doors {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sent := &statements{}
			w := newWorld(t, given{Pool: func(c *pgxpool.Config) { c.ConnConfig.Tracer = sent }})
			store := through(w.store)
			attempt := func() *attempt { return newAttempt(t, t.Context(), store, "k", idem.AttemptConfig{}) }
			attempt().mustBeFresh().mustCommit("kept")
			for range 2 {
				got := sent.during(func() { attempt().mustReplay("kept") })
				if len(got) != 1 || !strings.Contains(got[0], "SELECT") || strings.Contains(got[0], "advisory") {
					t.Errorf("sent %q", got)
				}
			}
		})
	}
}

// Where most requests are replays, those of keys that the process has never seen
// take one round trip as well; and when they no longer are, a fresh request is
// back at three.
func TestStoreLearnsWhatTheTrafficIs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	p, proxy := w.tapped(given{Conns: 1})
	pass := func(key string, wantRan bool) int {
		return trips(proxy, func() {
			if _, ran, err := run(t, p.store, key, pay(t, key, "paid")); err != nil || ran != wantRan {
				t.Fatalf("%s: ran %t, error %v", key, ran, err)
			}
		})
	}
	const many = 64
	for i := range many {
		if _, _, err := run(t, w.store, fmt.Sprint("there-", i), pay(t, "there", "paid")); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 3 {
		pass(fmt.Sprint("warm-", i), true) // statements prepared
	}
	var first, last int
	for i := range many {
		last = pass(fmt.Sprint("there-", i), false)
		if i == 0 {
			first = last
		}
	}
	if first != 2 || last != 1 {
		t.Errorf("replays took %d round trips at first and %d at last, want 2 and 1", first, last)
	}
	first = pass("fresh-first", true)
	for i := range many {
		last = pass(fmt.Sprint("fresh-", i), true)
	}
	if first != 4 || last != 3 {
		t.Errorf("fresh requests took %d round trips at first and %d at last, want 4 and 3", first, last)
	}
}

// A key that is expected to be completed and is not: its record is gone, another
// process's attempt holds it, or a lease.
func TestWrongExpectationCostsNoAnswer(t *testing.T) {
	needsLocks(t, "only they keep attempts of two processes apart before the first commits")
	t.Parallel()
	for name, through := range doors {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, given{})
			p := w.process(given{})
			attempt := func(s *txstore.Store, config idem.AttemptConfig) *attempt {
				return newAttempt(t, t.Context(), through(s), "k", config)
			}
			attempt(w.store, idem.AttemptConfig{}).mustBeFresh().mustCommit("first")
			attempt(w.store, idem.AttemptConfig{}).mustReplay("first")
			w.exec(`DELETE FROM pgidem_records`)

			owner := attempt(p.store, idem.AttemptConfig{}).mustBeFresh()
			if _, _, err := attempt(w.store, idem.AttemptConfig{NoWait: true}).reserve(); !errors.Is(err, idem.ErrInFlight) {
				t.Fatalf("Reserve beside the owner: %v", err)
			}
			waiter := attempt(w.store, idem.AttemptConfig{}).start()
			owner.mustCommit("second")
			if got := <-waiter; got.err != nil || got.body() != "second" {
				t.Errorf("the waiter got %+v", got)
			}
			attempt(w.store, idem.AttemptConfig{}).mustReplay("second")
		})
	}
}

// A replay from memory needs no database; it ends with the record, and is the
// caller's own copy.
func TestReplayFromMemory(t *testing.T) {
	t.Parallel()
	for name, through := range doors {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, given{})
			p, proxy := w.tapped(given{Config: txstore.Config{ReplayCacheBytes: 1 << 20}})
			store := through(p.store)
			const ttl = 2 * time.Second
			owner := newAttempt(t, t.Context(), store, "k", idem.AttemptConfig{MaxHandlerTime: patience})
			owner.ttl = ttl
			owner.mustBeFresh().mustCommit("kept")
			replay := func() *idem.Cached {
				return newAttempt(t, t.Context(), store, "k", idem.AttemptConfig{}).mustReplay("kept")
			}
			begin := time.Now()
			n := trips(proxy, func() {
				replay().Body[0] = 'Y'
				if got := replay(); got.RequestHash != "h" || got.StoredAt.IsZero() {
					t.Errorf("replay = %+v", got)
				}
			})
			if n != 0 && time.Since(begin) < ttl/2 {
				t.Errorf("replays from memory took %d round trips", n)
			}
			eventually(t, "the record expires", func() bool {
				_, fresh, err := newAttempt(t, t.Context(), store, "k", idem.AttemptConfig{}).reserve()
				return fresh && err == nil
			})
		})
	}
}
