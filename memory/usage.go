package memory

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/pgidem/pgidem/idem"
)

// Bookkeeping of the estimate behind Config.MaxBytes, rounded up from what the
// heap was seen to grow by.
const (
	recordBytes = 448 // the record, its slot in the map and in the expiry heap
	fieldBytes  = 40  // a header field beside its name
	valueBytes  = 16  // a header field's value beside its text
)

// usage counts what all shards hold together.
type usage struct {
	maxRecords, maxBytes int64
	records, bytes       atomic.Int64
}

// admit counts a new record in, or says which limit forbids it. It adds before
// it compares, so that two callers cannot both take the last place.
func (u *usage) admit(bytes int64) error {
	records, total := u.records.Add(1), u.bytes.Add(bytes)
	if records <= u.maxRecords && total <= u.maxBytes {
		return nil
	}
	u.remove(bytes)
	if records > u.maxRecords {
		return &fullError{limit: "MaxRecords", value: u.maxRecords}
	}
	return &fullError{limit: "MaxBytes", value: u.maxBytes}
}

func (u *usage) grow(bytes int64) { u.bytes.Add(bytes) }

func (u *usage) remove(bytes int64) {
	u.records.Add(-1)
	u.bytes.Add(-bytes)
}

// fullError refuses a new key because of a limit.
type fullError struct {
	limit string
	value int64
}

func (e *fullError) Error() string {
	return fmt.Sprintf("memory: store is full: Config.%s (%d) is reached and no record has expired", e.limit, e.value)
}

func (e *fullError) Unwrap() error { return idem.ErrStoreUnavailable }

func isFull(err error) bool {
	var full *fullError
	return errors.As(err, &full)
}
