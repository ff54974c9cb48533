package storm

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"

	"github.com/pgidem/pgidem/bench/internal/meter"
	"github.com/pgidem/pgidem/bench/internal/payment"
	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/redisstore"
	"github.com/pgidem/pgidem/txstore"
)

// poolConns is few: a wait that held a connection would be seen, and would keep
// others from theirs.
const poolConns = 4

// senders are the clients of one process, and the server that they share.
type senders struct {
	task   Task
	pool   *pgxpool.Pool
	store  *txstore.Store
	stores []func() // to close
	server http.Handler

	// mu guards outcome and failed.
	mu      sync.Mutex
	outcome Outcome
	failed  error
}

func open(task Task) (s *senders, err error) {
	ctx := context.Background()
	s = &senders{task: task}
	config, err := pgxpool.ParseConfig(task.Postgres)
	if err != nil {
		return nil, err
	}
	config.MaxConns = poolConns
	if s.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return nil, err
	}
	if s.store, err = txstore.New(s.pool, txstore.Config{}); err != nil {
		return nil, err
	}
	s.onClose(s.pool.Close)
	s.onClose(s.store.Close)
	chosen, err := s.choose()
	if err != nil {
		return nil, err
	}
	protect := idem.RESTMiddleware(idem.Config{Store: &witness{Store: chosen, sees: s}})
	s.server = protect(http.HandlerFunc(s.handle))
	// Warm: connections, statements, the pub/sub's code.
	return s, s.send(payment.NewKey(), 0)
}

func (s *senders) onClose(f func()) { s.stores = append(s.stores, f) }

func (s *senders) choose() (idem.Store, error) {
	switch s.task.Store {
	case Transactional:
		return s.store, nil
	case Leased:
		return s.store.Leased(), nil
	case Redis:
		client := redis.NewClient(&redis.Options{Addr: s.task.Redis, PoolSize: poolConns})
		s.onClose(func() { _ = client.Close() })
		store, err := redisstore.New(client, redisstore.Config{})
		if err == nil {
			s.onClose(store.Close)
		}
		return store, err
	}
	return nil, fmt.Errorf("no store is called %q", s.task.Store)
}

func (s *senders) close() {
	for i := len(s.stores) - 1; i >= 0; i-- {
		s.stores[i]()
	}
}

// durationHeader tells the handler how long it takes.
const durationHeader = "Bench-Duration"

// handle pays and is slow about it.
func (s *senders) handle(w http.ResponseWriter, r *http.Request) {
	took, _ := time.ParseDuration(r.Header.Get(durationHeader))
	if took > 0 {
		s.mu.Lock()
		s.outcome.Runs++
		s.mu.Unlock()
	}
	err := s.store.InTx(r.Context(), func(tx pgx.Tx) error {
		time.Sleep(took) // the work, in the transaction if there is one
		return payment.Pay(r.Context(), tx)
	})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.WriteHeader(payment.Status)
	_, _ = w.Write([]byte(payment.Body))
}

// send sends the request once, and checks the answer.
func (s *senders) send(key string, takes time.Duration) error {
	r := httptest.NewRequest(http.MethodPost, "/payments", strings.NewReader(payment.RequestBody))
	r.Header.Set("Idempotency-Key", key)
	r.Header.Set(durationHeader, takes.String())
	w := httptest.NewRecorder()
	s.server.ServeHTTP(w, r)
	if w.Code != payment.Status || w.Body.String() != payment.Body {
		return fmt.Errorf("answered %d %s", w.Code, w.Body)
	}
	return nil
}

// run sends all duplicates at the moment that was given.
func (s *senders) run(at time.Time) (Outcome, error) {
	before := meter.LiveHeap()
	var all sync.WaitGroup
	for range s.task.Duplicates {
		all.Go(func() {
			time.Sleep(time.Until(at))
			err := s.send(s.task.Key, s.task.Handler)
			s.answered(time.Now(), err)
		})
	}
	// In the middle of the handler everybody waits who will.
	time.Sleep(time.Until(at.Add(s.task.Handler / 2)))
	held := int(s.pool.Stat().AcquiredConns())
	waiting := meter.LiveHeap()
	all.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.outcome.Runs > 0 {
		held-- // the handler's own
	}
	s.outcome.Held, s.outcome.HeapBefore, s.outcome.HeapWaiting = held, before, waiting
	s.outcome.HeapAfter = meter.LiveHeap()
	return s.outcome, s.failed
}

func (s *senders) answered(at time.Time, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.outcome.Answered = append(s.outcome.Answered, at)
	s.failed = errors.Join(s.failed, err)
}

// witness notes when the Commit begins.
type witness struct {
	idem.Store
	sees *senders
}

func (w *witness) Commit(ctx context.Context, key, requestHash string, response idem.Cached) error {
	w.sees.mu.Lock()
	if key == w.sees.task.Key {
		w.sees.outcome.Committed = time.Now()
	}
	w.sees.mu.Unlock()
	return w.Store.Commit(ctx, key, requestHash, response)
}
