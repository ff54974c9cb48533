package idemtest

import (
	"context"
	"time"

	"github.com/pgidem/pgidem/idem"
)

// TB is the part of *testing.T that the cases use. As there, Fatalf ends the
// calling goroutine, functions given to Cleanup run last first when the case is
// over, and Context is cancelled just before they do.
type TB interface {
	Helper()
	Name() string
	Context() context.Context
	Cleanup(f func())
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// Harness tells the kit how to handle a store. NewStore and Age are required;
// each other field that is set adds cases. Its functions are called
// concurrently, by cases that run in parallel.
type Harness struct {
	// NewStore returns a store in which no key is known. It is called once for
	// each case, and registers with tb.Cleanup whatever ends the store: no
	// goroutine may be left when all clean-ups are done.
	NewStore func(tb TB) idem.Store
	// Age makes all records in store older by d, without sleeping: it moves
	// their expiry (and the leases' ends) or the store's clock. With a clock
	// that stands still otherwise, the instant of expiry is tested exactly.
	Age func(tb TB, store idem.Store, d time.Duration)

	// Attempts says what the store does with an idem.Attempt in the context.
	// Defaults to AttemptsOptional.
	Attempts Attempts
	// InFlightHash: the store can see the request hash of an attempt in flight,
	// so it owes ErrHashMismatch at once. Defaults to false.
	InFlightHash bool
	// Name is what the store's errors call it when it cannot be reached.
	// Defaults to "": not tested.
	Name string

	// Peer returns another store on store's backend, as a second process has
	// it. Defaults to nil: the store serves one process only.
	Peer func(tb TB, store idem.Store) idem.Store
	// Close closes store, in the way its users do. The store's own clean-up may
	// close it once more. Defaults to nil: the store has nothing to close.
	Close func(tb TB, store idem.Store)
	// Break makes the backend of store, and only of this one, unreachable.
	// Defaults to nil: the store has no backend to lose.
	Break func(tb TB, store idem.Store)
	// Corrupt makes the completed record of key undecodable. Defaults to nil:
	// the store keeps nothing that needs decoding.
	Corrupt func(tb TB, store idem.Store, key string)
	// Leases describes the store's leases. Defaults to nil: a reservation lasts
	// until its Commit or Release.
	Leases *Leases
	// Tombstones describes how the store remembers what has expired. Defaults
	// to nil: it does not.
	Tombstones *Tombstones

	// Background lists parts of function names. A goroutine with one of them on
	// its stack may outlive a case, as those of a client that all cases share.
	// Defaults to nil: none.
	Background []string
	// Patience bounds the wait for what must happen; a store that is right
	// never uses it up. Defaults to 20 seconds.
	Patience time.Duration
}

// Attempts is what a store does with an idem.Attempt in the context.
type Attempts int

const (
	// AttemptsOptional: the store binds a reservation to the attempt if there
	// is one, and works without.
	AttemptsOptional Attempts = iota
	// AttemptsRequired: the store works only with an attempt in the context.
	AttemptsRequired
	// AttemptsIgnored: the store knows nothing of attempts, so that nothing
	// fences a stale one off. Such a store is for a single process that trusts
	// its callers.
	AttemptsIgnored
)

// Leases describes a store whose reservations end by themselves.
type Leases struct {
	// Duration is how long a reservation lasts without renewal. Ageing the
	// store by it makes every lease stale.
	Duration time.Duration
	// NewShort returns a store like that of NewStore, with leases of Short and
	// a clock that runs: cases watch its leases being renewed. Defaults to nil:
	// the store's leases are not renewed.
	NewShort func(tb TB) idem.Store
	// Short is the lease of NewShort's stores: so short that a case can outlast
	// two, and yet longer than a busy machine keeps a renewal waiting.
	Short time.Duration
}

const (
	defaultPatience = 20 * time.Second
	// moment is how long a case watches that something does not happen, and
	// how long its handlers run.
	moment = 40 * time.Millisecond
)

func (h Harness) patience() time.Duration {
	if h.Patience <= 0 {
		return defaultPatience
	}
	return h.Patience
}

// shortWait is a deadline that leaves room to reach the store first, and yet
// passes while the case waits.
func (h Harness) shortWait() time.Duration { return h.patience() / 40 }
