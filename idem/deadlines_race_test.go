package idem

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// freshStore takes every request for a new one.
type freshStore struct {
	transactional bool
	settled       atomic.Int64 // Commits and Releases
}

func (s *freshStore) Reserve(ctx context.Context, _, _ string, _ time.Duration) (*Cached, bool, error) {
	if a, ok := AttemptFromContext(ctx); ok && s.transactional {
		a.MarkTransactional()
	}
	return nil, true, nil
}

func (s *freshStore) Commit(_ context.Context, _, _ string, response Cached) error {
	s.settled.Add(1)
	response.Clone() // as a store that encodes it reads all of it
	return nil
}

func (s *freshStore) Release(context.Context, string) error {
	s.settled.Add(1)
	return nil
}

// finalOnly leaves out informational responses, which a ResponseRecorder takes
// for final ones.
type finalOnly struct{ http.ResponseWriter }

func (w finalOnly) WriteHeader(status int) {
	if status >= 200 {
		w.ResponseWriter.WriteHeader(status)
	}
}

// unruly writes to w until its time is over, and for that much longer.
func unruly(w http.ResponseWriter, r *http.Request, longer time.Duration) {
	until := time.Time{}
	for i := 0; until.IsZero() || time.Now().Before(until); i++ {
		if until.IsZero() && r.Context().Err() != nil {
			until = time.Now().Add(longer)
		}
		w.Header().Set("X-"+strconv.Itoa(i%5), "v")
		if i == 50 {
			w.WriteHeader(http.StatusEarlyHints)
		}
		if i > 100 {
			io.WriteString(w, "some") //nolint:errcheck // it may be refused
		}
		<-time.After(50 * time.Microsecond) // its work
	}
}

// Handlers of all kinds meet their end at about the same time, those that return
// just then, those that are abandoned, and those that panic: each is answered
// once, each attempt is settled once, and none is left in the list.
//
// Behaviours 37, 40.
func TestManyHandlersOverTheirTime(t *testing.T) {
	t.Parallel()
	for name, store := range map[string]*freshStore{"Transaction": {transactional: true}, "Lease": {}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const requests, limit = 60, 30 * time.Millisecond
			var running sync.WaitGroup // handlers
			m := RESTMiddleware(Config{Store: store, MaxHandlerTime: limit})(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				defer running.Done()
				n, _ := strconv.Atoi(r.Header.Get("Idempotency-Key"))
				switch n % 5 {
				case 0:
					<-time.After(limit) // it returns as it is told
				case 1:
					unruly(w, r, 0)
				case 2:
					unruly(w, r, 2*handlerGrace)
				case 3:
					unruly(w, r, handlerGrace)
					panic("late")
				default: // it returns long before
				}
			})).(*middleware)
			running.Add(requests)
			var requesting sync.WaitGroup
			for n := range requests {
				requesting.Go(func() {
					defer func() {
						if v := recover(); v != nil && (n%5 != 3 || v != "late") {
							t.Errorf("request %d panicked: %v", n, v)
						}
					}()
					r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", nil)
					r.Header.Set("Idempotency-Key", strconv.Itoa(n))
					w := httptest.NewRecorder()
					m.ServeHTTP(finalOnly{w}, r)
					if n%5 == 2 && w.Code != 503 {
						t.Errorf("request %d: %d", n, w.Code)
					}
				})
			}
			requesting.Wait()
			running.Wait()
			for until := time.Now().Add(20 * time.Second); store.settled.Load() < requests && time.Now().Before(until); {
				<-time.After(time.Millisecond)
			}
			if n := store.settled.Load(); n != requests {
				t.Errorf("%d attempts were settled, want %d", n, requests)
			}
			m.deadlines.mu.Lock()
			defer m.deadlines.mu.Unlock()
			if m.deadlines.first != nil || m.deadlines.last != nil {
				t.Error("a handler was left in the list")
			}
		})
	}
}
