package idem

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Attempt is one try to run a handler for a key. It travels in the context from
// Reserve through the handler to Commit or Release and carries what the caller
// tells the Store, what the Store must remember in between, and what the Store
// tells the caller.
//
// It lives in the context, and is not found by a type assertion on the Store,
// so that a decorator which forwards only the three verbs hides nothing.
//
// RESTMiddleware and Do make one per run of the handler. An interceptor for
// another transport does the same with [WithAttempt]. All methods are safe for
// concurrent use.
type Attempt struct {
	config AttemptConfig
	parent *Attempt
	claim  *claim // nil: of somebody else's runner

	disposition   atomic.Int32 // a Disposition; 0 until somebody chooses
	transactional atomic.Bool
	abandoned     atomic.Bool
	runAgain      atomic.Bool
	leaseLost     atomic.Bool
	handler       atomic.Pointer[handlerRun] // nil before the handler runs

	// mu guards all below. It is never held while anything else is locked or
	// called.
	mu     sync.Mutex
	id     string // "" until somebody asks
	states []any
	room   [2]any // for the first states
}

// AttemptConfig is what the caller of Reserve tells the Store.
type AttemptConfig struct {
	// NoWait makes Reserve return [ErrInFlight] where it would wait.
	NoWait bool
	// MaxHandlerTime is how long the handler may run; a Store bounds with it
	// what it holds meanwhile. Zero: no limit.
	MaxHandlerTime time.Duration
	// RememberExpired is how long after the end of its record a key is still
	// refused with [ErrKeyExpired]. It holds for the record that this attempt
	// commits. Zero: an expired key is fresh.
	RememberExpired time.Duration
}

// Bound returns the state that a Store has bound to an attempt in ctx: of type
// T, accepted by match, of the innermost attempt that has one, the latest.
func Bound[T any](ctx context.Context, match func(T) bool) (state T, ok bool) {
	a, _ := AttemptFromContext(ctx)
	for ; a != nil; a = a.parent {
		for _, s := range slices.Backward(a.snapshot()) {
			if t, ok := s.(T); ok && match(t) {
				return t, true
			}
		}
	}
	return state, false
}

// NewAttemptID returns an attempt_id, a random UUID (RFC 9562, version 4), for a
// Store whose caller has no Attempt in the context.
func NewAttemptID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	var s [36]byte
	hex.Encode(s[0:8], b[0:4])
	hex.Encode(s[9:13], b[4:6])
	hex.Encode(s[14:18], b[6:8])
	hex.Encode(s[19:23], b[8:10])
	hex.Encode(s[24:36], b[10:16])
	s[8], s[13], s[18], s[23] = '-', '-', '-', '-'
	return string(s[:])
}

// ID returns the attempt_id, a UUID in text form. No two attempts share one.
func (a *Attempt) ID() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.id == "" {
		a.id = NewAttemptID()
	}
	return a.id
}

// NoWait tells whether Reserve must return ErrInFlight instead of waiting.
func (a *Attempt) NoWait() bool { return a.config.NoWait }

// MaxHandlerTime returns how long the handler may run; zero is no limit.
func (a *Attempt) MaxHandlerTime() time.Duration { return a.config.MaxHandlerTime }

// RememberExpired returns how long a Store must remember the key of the record
// that the attempt commits, from the record's expiry on; zero is not at all.
func (a *Attempt) RememberExpired() time.Duration { return a.config.RememberExpired }

// Bind keeps state for the attempt's Commit and Release. [Bound] finds it again.
func (a *Attempt) Bind(state any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.states == nil {
		a.states = a.room[:0]
	}
	a.states = append(a.states, state)
}

func (a *Attempt) snapshot() []any {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.states
}

// Disposition returns what becomes of the attempt's writes and response. It is
// settled when Commit is called, and CommitAll unless something else was said.
func (a *Attempt) Disposition() Disposition {
	if d := Disposition(a.disposition.Load()); d != 0 {
		return d
	}
	return CommitAll
}

func (a *Attempt) setDisposition(d Disposition) { a.disposition.Store(int32(d)) }

// settleDisposition returns what the handler chose, or else d, and keeps it.
func (a *Attempt) settleDisposition(d Disposition) Disposition {
	a.disposition.CompareAndSwap(0, int32(d))
	return a.Disposition()
}

// MarkTransactional is called by a Store in Reserve when the handler's writes
// are part of the reservation: when Commit fails or Release is called, they are
// undone. It decides what a client hears when a Commit fails.
func (a *Attempt) MarkTransactional() { a.transactional.Store(true) }

// Transactional tells whether MarkTransactional was called.
func (a *Attempt) Transactional() bool { return a.transactional.Load() }

// Abandon is called by the runner of a handler that did not return in time,
// before Release: the handler may still be using what the Store gave it.
func (a *Attempt) Abandon() { a.abandoned.Store(true) }

// Abandoned tells whether Abandon was called.
func (a *Attempt) Abandoned() bool { return a.abandoned.Load() }

// LoseLease is called by a Store when the attempt's reservation ran out or was
// taken over: it cancels the context of the handler with [ErrLeaseLost] as its
// cause.
func (a *Attempt) LoseLease() {
	a.leaseLost.Store(true)
	if h := a.handler.Load(); h != nil {
		h.cancel(ErrLeaseLost)
	}
}

// runs remembers the handler, to end its context when the lease is lost, and
// ends it if that was before. Each side writes before it reads what the other
// writes, so at least one of them sees both.
func (a *Attempt) runs(h *handlerRun) {
	a.handler.Store(h)
	if a.leaseLost.Load() {
		h.cancel(ErrLeaseLost)
	}
}

// RequestRunAgain is called by a Store in Commit or Release when it has undone
// the attempt for a reason that a new attempt does not share, as a
// serialization failure or a deadlock.
func (a *Attempt) RequestRunAgain() { a.runAgain.Store(true) }

// RunAgain tells whether RequestRunAgain was called.
func (a *Attempt) RunAgain() bool { return a.runAgain.Load() }
