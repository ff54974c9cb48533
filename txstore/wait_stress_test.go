package txstore_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/txstore"
)

// storm is many requests for few keys, from several processes, that end in every
// way.
type storm struct {
	processes []*world
	keys      int
	commits   sync.Map // key → *atomic.Int32: how many were told that they committed
	slowest   atomic.Int64
}

func (s *storm) committed(key string) *atomic.Int32 {
	n, _ := s.commits.LoadOrStore(key, &atomic.Int32{})
	return n.(*atomic.Int32)
}

// request plays one request with a random end. It reports whether it is over:
// a client whose attempt was undone tries again.
func (s *storm) request(w *world, key string) (over bool) {
	ctx, cancel := context.WithCancel(w.Context())
	defer cancel()
	if rand.N(8) == 0 {
		timer := time.AfterFunc(rand.N(10*time.Millisecond), cancel)
		defer timer.Stop()
	}
	actx, core := idem.WithAttempt(ctx, idem.AttemptConfig{MaxHandlerTime: patience})
	rctx, stop := context.WithTimeout(actx, patience)
	defer stop()
	existing, fresh, err := w.store.Reserve(rctx, key, "h", time.Hour)
	switch {
	case errors.Is(err, context.Canceled):
		return false
	case err != nil:
		w.Errorf("Reserve %s: %v", key, err)
		return true
	case !fresh:
		if string(existing.Body) != key {
			w.Errorf("%s was answered %q", key, existing.Body)
		}
		return true
	}
	actx = context.WithoutCancel(actx)
	tx, ok := txstore.TxFromContext(actx)
	if !ok {
		w.Errorf("no transaction")
		return true
	}
	if _, err := tx.Exec(actx, insertPayment, key); err != nil {
		w.Errorf("insert: %v", err)
	}
	return s.end(actx, w, core, key)
}

func (s *storm) end(ctx context.Context, w *world, core *idem.Attempt, key string) (over bool) {
	switch rand.N(6) {
	case 0, 1:
		if err := w.store.Release(ctx, key); err != nil {
			w.Errorf("Release: %v", err)
		}
		return false
	case 2: // abandoned
		core.Abandon()
		_ = w.store.Release(ctx, key)
		return false
	}
	err := w.store.Commit(ctx, key, "h", idem.Cached{Status: 201, Body: []byte(key)})
	if errors.Is(err, idem.ErrSuperseded) {
		return false
	}
	if err != nil {
		w.Errorf("Commit: %v", err)
		return true
	}
	s.committed(key).Add(1)
	return true
}

func (s *storm) run(clients int) {
	var all sync.WaitGroup
	for i := range clients {
		all.Go(func() {
			w := s.processes[i%len(s.processes)]
			key := fmt.Sprintf("k-%d", rand.N(s.keys))
			begun := time.Now()
			for !s.request(w, key) {
			}
			took := int64(time.Since(begun))
			for old := s.slowest.Load(); took > old && !s.slowest.CompareAndSwap(old, took); old = s.slowest.Load() {
			}
		})
	}
	await(s.processes[0].TB, "the storm", closed(&all))
}

// Behaviours 2, 16, 23. Whatever ends how: one business row for each key, one
// client that is told so, and everybody has the answer soon. With locks switched
// off only the work is done more than once.
func TestStorm(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]txstore.Config{
		"Listening": {},
		"Polling":   {DisableListen: true, PollInterval: 20 * time.Millisecond},
		"NoLocks":   {DisableLocks: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := given{Conns: 4, Config: config}
			w := newWorld(t, g)
			s := &storm{processes: []*world{w, w.process(g), w.process(g)}, keys: 20}
			s.run(600)
			s.commits.Range(func(key, n any) bool {
				if told := n.(*atomic.Int32).Load(); told != 1 {
					t.Errorf("%s: %d clients were told that they committed", key, told)
				}
				w.mustHold(key.(string), 1, 1)
				return true
			})
			if n := w.count("SELECT count(*) FROM payments"); n != w.count("SELECT count(*) FROM pgidem_records") {
				t.Errorf("%d payments, not one for each record", n)
			}
			t.Logf("the slowest client waited %v", time.Duration(s.slowest.Load()))
			for _, p := range s.processes {
				eventually(t, "no connection is held", func() bool { return p.pool.Stat().AcquiredConns() == 0 })
			}
		})
	}
}

// Nobody sleeps for ever: each key is let go many times with processes waiting
// that only a notification can wake.
func TestNoWakeUpIsLost(t *testing.T) {
	t.Parallel()
	needsLocks(t, "a waiter in another process registers with one, and is told through it")
	w := newWorld(t, given{})
	processes := []*world{w.process(byNotification), w.process(byNotification), w.process(byNotification)}
	const rounds = 60
	for round := range rounds {
		key := fmt.Sprintf("k-%d", round%7)
		if round%7 == 0 {
			w.exec("DELETE FROM pgidem_records")
		}
		var all sync.WaitGroup
		var runs atomic.Int32
		for _, p := range processes {
			for range 4 {
				all.Go(func() {
					for handedBack := true; handedBack; {
						a := newAttempt(t, t.Context(), p.store, key, idem.AttemptConfig{MaxHandlerTime: patience})
						_, fresh, err := a.reserve()
						handedBack = err == nil && fresh && runs.Add(1) < 6
						switch {
						case err != nil:
							t.Errorf("round %d: %v", round, err)
						case handedBack:
							_ = a.release()
						case fresh:
							if err := a.commit("paid"); err != nil {
								t.Errorf("round %d: %v", round, err)
							}
						}
					}
				})
			}
		}
		await(t, "the round", closed(&all))
	}
}
