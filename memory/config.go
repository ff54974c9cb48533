package memory

import (
	"math"
	"time"
)

// Config bounds a Store. The zero value is ready for use. It is copied by New.
type Config struct {
	// MaxRecords is how many keys the store holds, in flight or completed.
	// When it is reached, Reserve drops what has expired; if that is nothing,
	// it refuses a new key with an error that is idem.ErrStoreUnavailable and
	// names this limit. What is remembered of an expired record counts too.
	// Replays, Commits and Releases go on. Negative: no limit. Defaults to
	// 1,000,000.
	MaxRecords int
	// MaxBytes is how much memory the records may take, as estimated from their
	// keys, headers, bodies and bookkeeping. It is enforced like MaxRecords, at
	// Reserve: the response of a handler that was let in is kept whatever its
	// size, so the responses of the attempts in flight may exceed MaxBytes.
	// Negative: no limit. Defaults to 256 MiB.
	MaxBytes int64
	// Now is the clock that StoredAt and the TTL are measured by; a test can
	// age records with it. It must be safe for concurrent use and must not call
	// the store. Defaults to time.Now.
	Now func() time.Time
}

const (
	defaultMaxRecords = 1_000_000
	defaultMaxBytes   = 256 << 20
)

func (c Config) withDefaults() Config {
	c.MaxRecords = limit(c.MaxRecords, defaultMaxRecords, math.MaxInt)
	c.MaxBytes = limit(c.MaxBytes, defaultMaxBytes, math.MaxInt64)
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

func limit[T int | int64](set, unset, none T) T {
	switch {
	case set == 0:
		return unset
	case set < 0:
		return none
	}
	return set
}
