package idemtest

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/pgidem/pgidem/idem"
)

// renewalCases run on a store with short leases.
var renewalCases = []definition{
	{"LeaseIsRenewedUnderASlowHandler", 9, shortLeases, leaseIsRenewed},
	{"RenewalEndsWithCommit", 9, shortLeases, renewalEndsWithCommit},
	{"RenewalEndsWithRelease", 9, shortLeases, renewalEndsWithRelease},
	{"RenewalEndsWithAPanic", 9, shortLeases | attempts, renewalEndsWithPanic},
	{"LostLeaseCancelsTheHandler", 9, shortLeases | attempts, lostLeaseCancels},
}

// outlastLease lets two leases pass: without renewal the first is over then, and
// a renewal that should have ended has shown.
func (k *kit) outlastLease() { <-time.After(2 * k.h.Leases.Short) }

func leaseIsRenewed(k *kit) {
	owner := k.fresh(theKey)
	duplicate := k.attempt(theKey)
	waiting := duplicate.start()
	k.outlastLease()
	k.mustStillWait(waiting)
	owner.mustCommit(response("slow"))
	duplicate.mustHaveReplayed(duplicate.finish(waiting), response("slow"))
}

// renewalEndsWithCommit: a renewal that goes on would keep the record alive, or
// put a lease in its place.
func renewalEndsWithCommit(k *kit) {
	k.recorded(theKey, response("done"))
	k.outlastLease()
	k.mustReplay(theKey, response("done"))
	k.h.Age(k, k.store, ttl)
	k.mustBeFree(theKey)
}

func renewalEndsWithRelease(k *kit) {
	k.fresh(theKey).mustRelease()
	k.outlastLease()
	k.mustBeFreeAtOnce()
}

// mustBeFreeAtOnce allows for no wait in which a lease could end by itself.
func (k *kit) mustBeFreeAtOnce() {
	k.Helper()
	began := time.Now()
	k.mustBeFree(theKey)
	if waited := time.Since(began); waited > k.h.Leases.Short/2 {
		k.Errorf("the key was free after %v only, want it free at once", waited)
	}
}

func renewalEndsWithPanic(k *kit) {
	panicked := within(k, "a request whose handler panics", func() any {
		return k.request(func(http.ResponseWriter, *http.Request) { panic("the handler's") })
	})
	if panicked == nil {
		k.Errorf("the handler's panic was swallowed")
	}
	k.outlastLease()
	k.mustBeFreeAtOnce()
}

// request sends one request for theKey through the middleware, and returns what
// it panicked with. It ends when nothing goes on in the background.
func (k *kit) request(handler http.HandlerFunc) (panicked any) {
	outcomes := make(chan idem.Outcome, 2)
	defer func() {
		panicked = recover()
		if <-outcomes == idem.OutcomeNotRecorded {
			<-outcomes // its Commit is repeated, and refused for good
		}
	}()
	protect := idem.RESTMiddleware(idem.Config{
		Store:          k.store,
		DefaultTTL:     ttl,
		MaxHandlerTime: -1,
		RequestHash:    func(*http.Request) (string, error) { return hashA, nil },
		Observer:       func(_ context.Context, e idem.Event) { outcomes <- e.Outcome },
	})
	r := httptest.NewRequestWithContext(k.Context(), http.MethodPost, "/", strings.NewReader("body"))
	r.Header.Set("Idempotency-Key", theKey)
	protect(handler).ServeHTTP(httptest.NewRecorder(), r)
	return nil
}

// lostLeaseCancels: the owner learns of it while its handler runs, and what it
// commits afterwards changes nothing.
func lostLeaseCancels(k *kit) {
	started, cause, answered := make(chan struct{}), make(chan error, 1), make(chan any, 1)
	taken := make(chan struct{})
	go func() {
		answered <- k.request(func(w http.ResponseWriter, r *http.Request) {
			close(started)
			select {
			case <-r.Context().Done():
				cause <- context.Cause(r.Context())
			case <-time.After(k.h.patience()):
				cause <- nil
			}
			// A store may take the word of an owner who is late as long as nobody
			// else has the key. This one comes after that.
			select {
			case <-taken:
			case <-time.After(k.h.patience()):
			}
			w.WriteHeader(http.StatusCreated)
		})
	}()
	await(k, "the handler's start", started)
	next := k.takeOver()
	close(taken)
	if err := <-cause; !errors.Is(err, idem.ErrLeaseLost) {
		k.Errorf("the context of a handler whose lease was taken over ended with %v, want ErrLeaseLost", err)
	}
	await(k, "the request whose lease was lost", answered)
	next.mustCommit(response("next"))
	k.mustReplay(theKey, response("next"))
}

// takeOver makes the lease on theKey end and reserves the key. A renewal may come
// in between; then it does so again.
func (k *kit) takeOver() *attempt {
	k.Helper()
	for until := time.Now().Add(k.h.patience()); time.Now().Before(until); {
		k.h.Age(k, k.store, k.h.Leases.Short)
		next := k.attemptOn(k.store, theKey, idem.AttemptConfig{NoWait: true})
		if next.reserve().fresh {
			return next
		}
	}
	k.Fatalf("a lease that has ended was not taken over within %v", k.h.patience())
	panic("unreachable: Fatalf returned")
}
