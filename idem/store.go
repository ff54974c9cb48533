package idem

import (
	"context"
	"net/http"
	"time"
)

// Cached is a recorded response: what a replay sends instead of running the
// handler again.
//
// A Store treats it as opaque. Header values keep their order, Body may hold
// any bytes, and an empty Body stays empty.
type Cached struct {
	// Status is the HTTP status code, or a code of the caller's own.
	Status int
	// Header holds the stored header fields, in canonical form.
	Header http.Header
	// Body is the response body, before any transfer coding.
	Body []byte
	// RequestHash identifies the request that the response answers.
	RequestHash string
	// StoredAt is the moment of the Commit on the store's clock.
	StoredAt time.Time
}

// Clone returns a deep copy: changing one never changes the other.
func (c Cached) Clone() Cached {
	c.Header = c.Header.Clone()
	if c.Body != nil {
		c.Body = append(make([]byte, 0, len(c.Body)), c.Body...)
	}
	return c
}

// Store keeps one record per idempotency key.
//
// The three verbs form the life of a reservation: Reserve makes it, Commit
// completes it with a response, Release gives it up. A Store is safe for
// concurrent use, by one process and by many.
//
// What must travel between the verbs of one attempt (a transaction, a fencing
// token) is bound to the [Attempt] that ctx carries; a Store that needs nothing
// of the kind may ignore it. Commit and Release are called with a context that
// is never cancelled and has no deadline: a Store bounds its own waiting there.
//
// A key that is longer than [MaxStoredKeyBytes], is not valid UTF-8 or holds a
// NUL is refused by Reserve with [ErrKeyInvalid].
type Store interface {
	// Reserve asks to run the handler for key.
	//
	//   - (existing, false, nil): a completed record exists. The caller
	//     compares existing.RequestHash with its own and replays. It may change
	//     existing, which is nobody else's.
	//   - (nil, true, nil): the key is reserved for the caller, who runs the
	//     handler and then calls Commit or Release.
	//   - (nil, false, err): neither.
	//
	// While another attempt is in flight Reserve blocks until that attempt
	// ends, or until ctx ends. It returns [ErrWaitTimeout] only if it has seen
	// the key in flight; a deadline that was spent on reaching the store is
	// [ErrStoreUnavailable], and a cancelled ctx is its own error. A Store that
	// can see the request hash of the attempt in flight returns
	// [ErrHashMismatch] at once when it is another one. If the attempt in ctx
	// says [Attempt.NoWait], Reserve returns [ErrInFlight] instead of blocking.
	//
	// A record is kept for ttl from its Commit; from that instant on the key is
	// fresh again. If the attempt that committed it had an
	// [Attempt.RememberExpired], the key and its hash are kept for that much
	// longer, and Reserve returns [ErrKeyExpired] meanwhile, or ErrHashMismatch
	// for another hash, whoever asks. The same key reserved inside its own
	// attempt is [ErrNested].
	Reserve(ctx context.Context, key string, requestHash string, ttl time.Duration) (existing *Cached, fresh bool, err error)

	// Commit completes the caller's reservation with response. requestHash
	// takes precedence over response.RequestHash, and StoredAt is set from the
	// store's clock. What the Store keeps in memory beyond the call is a copy of
	// header and body.
	//
	// A second Commit with the same hash changes nothing and returns nil; with
	// another hash it returns [ErrHashMismatch]. Without a reservation it
	// returns [ErrNotReserved]. If another attempt's record stands in its place,
	// it returns [ErrSuperseded].
	Commit(ctx context.Context, key string, requestHash string, response Cached) error

	// Release gives the caller's reservation up, so that the key is fresh again
	// and one waiter may have it. It may be called any number of times; it never
	// removes a completed record or another attempt's reservation.
	Release(ctx context.Context, key string) error
}
