package storm

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"

	"github.com/pgidem/pgidem/bench/internal/meter"
	"github.com/pgidem/pgidem/bench/internal/payment"
	"github.com/pgidem/pgidem/idem"
)

// senders are the clients of one process, and the server that they share. They
// call it as net/http would, without a network in between: what they have to wait
// for is the protection alone.
type senders struct {
	task       Task
	protection *protection
	server     http.Handler
	answers    []answer // of each duplicate its own

	// mu guards outcome.
	mu      sync.Mutex
	outcome Outcome
}

// answer is what a duplicate has got, and when.
type answer struct {
	at  time.Time
	err error
}

func open(task Task) (*senders, error) {
	protect, ok := protections[task.Store]
	if !ok {
		return nil, fmt.Errorf("no store is called %q", task.Store)
	}
	p, err := protect(task)
	if err != nil {
		return nil, err
	}
	s := &senders{task: task, protection: p, answers: make([]answer, task.Duplicates)}
	s.server = idem.RESTMiddleware(idem.Config{Store: &witness{Store: p.store, sees: s}})(http.HandlerFunc(s.handle))
	// Warm: connections, statements, the pub/sub's code.
	return s, s.send(payment.NewKey(), 0)
}

func (s *senders) close() { s.protection.close() }

// durationHeader tells the handler how long it takes.
const durationHeader = "Bench-Duration"

// handle pays and is slow about it.
func (s *senders) handle(w http.ResponseWriter, r *http.Request) {
	took, _ := time.ParseDuration(r.Header.Get(durationHeader))
	if took > 0 {
		s.see(func(o *Outcome) { o.Runs++ })
	}
	if err := s.protection.pay(r.Context(), took); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.WriteHeader(payment.Status)
	_, _ = w.Write([]byte(payment.Body))
}

func (s *senders) see(note func(*Outcome)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	note(&s.outcome)
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

// run sends all duplicates at that moment, and returns when all are answered. It
// looks at them twice while they wait, with time for the collector to end before
// the handler does.
func (s *senders) run(at time.Time) {
	s.outcome.Before = inUse()
	var all sync.WaitGroup
	for i := range s.answers {
		all.Go(func() {
			time.Sleep(time.Until(at))
			err := s.send(s.task.Key, s.task.Handler)
			s.answers[i] = answer{at: time.Now(), err: err}
		})
	}
	time.Sleep(time.Until(at.Add(s.task.Handler / 4)))
	early, held := inUse(), s.held()
	time.Sleep(time.Until(at.Add(s.task.Handler / 2)))
	held = min(held, s.held())
	late := inUse()
	all.Wait()
	s.see(func(o *Outcome) { o.Early, o.Late, o.Held = early, late, held })
}

// held is the number of connections that waiters hold now.
func (s *senders) held() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.protection.held(s.outcome.Runs > 0)
}

// inUse returns how much memory is, after all garbage was collected.
func inUse() uint64 { return meter.LiveHeap() + meter.Stacks() }

// report sums up what this process has seen.
func (s *senders) report() Outcome {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.answers {
		if a.err != nil {
			s.outcome.Failed = append(s.outcome.Failed, a.err.Error())
		} else {
			s.outcome.Answered = append(s.outcome.Answered, a.at)
		}
	}
	s.outcome.After = inUse()
	return s.outcome
}

// witness notes when the Commit begins, and how long it takes.
type witness struct {
	idem.Store
	sees *senders
}

func (w *witness) Commit(ctx context.Context, key, requestHash string, response idem.Cached) error {
	if key != w.sees.task.Key {
		return w.Store.Commit(ctx, key, requestHash, response)
	}
	began := time.Now()
	w.sees.see(func(o *Outcome) { o.Committed = began })
	err := w.Store.Commit(ctx, key, requestHash, response)
	took := time.Since(began)
	w.sees.see(func(o *Outcome) { o.Commit = took })
	return err
}
