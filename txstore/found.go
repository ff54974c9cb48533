package txstore

import (
	"cmp"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/internal/record"
)

// found is what the look-up says about a key.
type found struct {
	attemptID string       // of the record or lease; "" if there is none
	hash      string       // of the request that the record or lease is for
	cached    *idem.Cached // nil under a lease, and of a tombstone
	completed bool         // it is a record or what remains of one
	alive     bool         // it still stands for its key
	expired   bool         // a tombstone: not replayed any more, and remembered
	leaseLeft time.Duration
	replays   time.Duration // how much longer the record is replayed
	age       time.Duration // of the record
}

// replay returns the record to replay, nil if there is none.
func (f found) replay() *idem.Cached {
	if !f.alive || f.expired {
		return nil
	}
	return f.cached
}

// leased tells whether an attempt holds a lease.
func (f found) leased() bool { return f.alive && !f.completed }

// refusal is what a tombstone says to a request with hash, nil if there is none.
func (f found) refusal(hash string) error {
	switch {
	case !f.alive || !f.expired:
		return nil
	case f.hash != hash:
		return idem.ErrHashMismatch
	}
	return idem.ErrKeyExpired
}

// look is what a seeker makes of f when the key is not its own.
func (f found) look(h int32) look {
	l := look{cached: f.replay(), replays: f.replays, age: f.age, attemptID: f.attemptID, h: h}
	if f.leased() {
		l.hash, l.leaseLeft = f.hash, f.leaseLeft
	}
	return l
}

// scanFound reads the look-up's row, if there is one.
func scanFound(rows pgx.Rows) (f found, err error) {
	defer rows.Close()
	for rows.Next() {
		if err := f.scan(rowOf(rows)); err != nil {
			return f, err
		}
	}
	rows.Close()
	return f, rows.Err()
}

// scan reads the row and judges by the server's clock what is over in it.
func (f *found) scan(r *row) error {
	f.attemptID, f.hash = r.uuid(), r.text()
	format, _ := r.integer()
	status, completed := r.integer()
	header, body := r.bytes(), r.bytes()
	stored, expires, forgotten, leased := r.moment(), r.moment(), r.moment(), r.moment()
	now := r.moment()
	if r.err != nil {
		return r.err
	}
	f.completed = completed
	f.alive = cmp.Or(forgotten, expires, leased) > now
	f.expired = forgotten != 0 && expires <= now
	if !f.completed {
		f.leaseLeft = until(leased, now)
		return nil
	}
	f.replays, f.age = until(expires, now), until(now, stored)
	h, err := record.DecodeHeader(int(format), header)
	switch {
	case err != nil && (f.expired || !f.alive):
		return nil // nobody would replay it
	case err != nil:
		return fmt.Errorf("txstore: %w: %w", idem.ErrRecordUnreadable, err)
	}
	f.cached = &idem.Cached{Status: int(status), Header: h, Body: body, RequestHash: f.hash, StoredAt: stored.time()}
	return nil
}

// until is the time from now to m, at most maxTTL.
func until(m, now moment) time.Duration {
	return time.Duration(min(max(m-now, 0), moment(maxTTL.Microseconds()))) * time.Microsecond
}
