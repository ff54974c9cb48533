package idem

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// DoConfig says how [Do] protects a function. Only Store is required. Do copies
// it, so that one value can serve all calls, and a copy with another Scope one
// tenant. Its functions are called concurrently.
type DoConfig struct {
	// Store keeps the records. Required.
	Store Store
	// Scope is the namespace of the key: a tenant, a queue, a kind of job.
	// Calls of different scopes never share a key, nor do they share one with
	// another scope of Config.Scope. One with control characters is
	// [ErrScopeDenied]. Defaults to "": one namespace for all calls; so check a
	// tenant that may be missing before it comes here.
	Scope string
	// DefaultTTL is how long a record is replayed, from its Commit on. At least
	// a microsecond. Defaults to 24 hours.
	DefaultTTL time.Duration
	// RememberExpired is how long after DefaultTTL a key is still known: a retry
	// that comes so late is [ErrKeyExpired] and not run a second time. At least a
	// microsecond. Defaults to 0: an expired key is fresh again.
	RememberExpired time.Duration
	// WaitTimeout bounds the wait for an attempt in flight, as the deadline of
	// the caller's context does; then the error is [ErrWaitTimeout]. It bounds
	// reaching the Store, too. Negative: do not wait, the error is [ErrInFlight].
	// Defaults to 30 seconds.
	WaitTimeout time.Duration
	// MaxHandlerTime bounds one run of the function, as Config.MaxHandlerTime
	// does a handler's: its context is cancelled, in a transaction its writes are
	// undone, and the error is [ErrHandlerTimeout]. Negative: no limit.
	// Defaults to 30 seconds.
	MaxHandlerTime time.Duration
	// MaxResultBytes bounds the encoded result. A larger one is undone in a
	// transaction, and the error is [ErrResponseTooLarge]. Without one it is
	// returned, but not recorded: a retry gets [ErrResultNotKept]. Negative: no
	// limit. Defaults to 1 MiB.
	MaxResultBytes int64
	// MaxRuns bounds how often one call runs the function when its transaction
	// was the victim of a serialization failure or a deadlock. 1: never again.
	// Defaults to 3.
	MaxRuns int
	// Detach lets the function go on when the caller's context ends, up to
	// MaxHandlerTime; Do waits for it. Choose it where the caller may vanish, as
	// the client of an RPC, and where an effect outside the database must not be
	// cut off half-way. Defaults to false: the caller's context is the
	// function's, so that a worker which shuts down can stop it.
	Detach bool
	// Codec encodes results for the record. Defaults to JSON.
	Codec Codec
	// Observer is told how each call ended, once for each and once more for an
	// end in the background; its Event has no Status. [OutcomeReplayed] is how
	// one learns that a result is a replay. Do returns after it, so it must not
	// block. A panic in it is contained, and logged to slog's default logger.
	// Defaults to nil: nobody is told.
	Observer func(context.Context, Event)
	// ObserveKeys gives the Observer the keys in clear.
	// Defaults to false: only a digest.
	ObserveKeys bool
}

// withDefaults returns c with its zero fields filled, or an error that names
// the field that is wrong.
func (c DoConfig) withDefaults() (DoConfig, error) {
	switch {
	case c.Store == nil:
		return c, fmt.Errorf("idem: DoConfig.Store is nil: give it a store, for example txstore.New(pool, txstore.Config{})")
	case c.MaxRuns < 0:
		return c, fmt.Errorf("idem: DoConfig.MaxRuns is %d: it must not be negative", c.MaxRuns)
	}
	if err := validateTimes("DoConfig", c.DefaultTTL, c.RememberExpired); err != nil {
		return c, err
	}
	setDefault(&c.DefaultTTL, defaultTTL)
	setDefault(&c.WaitTimeout, defaultWaitTimeout)
	setDefault(&c.MaxHandlerTime, defaultMaxHandlerTime)
	setDefault(&c.MaxResultBytes, defaultMaxBytes)
	setDefault(&c.MaxRuns, defaultMaxRuns)
	if c.Codec == nil {
		c.Codec = jsonCodec{}
	}
	return c, nil
}

// storedKey returns the key under which the Store keeps the record. A key with
// the separator in it could be taken for one of another scope.
func (c DoConfig) storedKey(key string) (string, error) {
	switch err := ValidateKey(key); {
	case err != nil:
		return "", err
	case strings.Contains(key, scopeSeparator):
		return "", refuse(ErrKeyInvalid, "it contains the byte 0x1f, which separates a scope from a key")
	case c.Scope == "":
		return key, nil
	}
	if err := checkScope(c.Scope); err != nil {
		return "", fmt.Errorf("%w: %w", ErrScopeDenied, err)
	}
	key = c.Scope + scopeSeparator + key
	return key, ValidateKey(key)
}

// waitUntil returns when a Reserve that begins now must end, and whether it must
// not wait for another attempt. The deadline of the caller's context holds
// beside it.
func (c DoConfig) waitUntil(now time.Time) (until time.Time, noWait bool) {
	if c.WaitTimeout < 0 {
		return now.Add(maxReserve), true
	}
	return now.Add(c.WaitTimeout), false
}
