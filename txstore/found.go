package txstore

import (
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

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
	l := look{cached: f.replay(), h: h}
	if f.leased() {
		l.hash, l.leaseLeft = f.hash, f.leaseLeft
	}
	return l
}

// scanFound reads the look-up's row, if there is one.
func scanFound(rows pgx.Rows) (f found, err error) {
	defer rows.Close()
	for rows.Next() {
		if err := f.scan(rows); err != nil {
			return f, err
		}
	}
	rows.Close()
	return f, rows.Err()
}

func (f *found) scan(rows pgx.Rows) error {
	var (
		format              int16
		status              pgtype.Int4
		header, body        bytea
		storedAt, leaseLeft int64
	)
	header.take(rows, 4)
	body.take(rows, 5)
	if err := errors.Join(header.err, body.err); err != nil {
		return err
	}
	err := rows.Scan(&f.attemptID, &f.hash, &format, &status, nil, nil, &storedAt, &f.alive, &f.expired, &leaseLeft)
	if f.completed = status.Valid; err != nil || !status.Valid {
		f.leaseLeft = time.Duration(leaseLeft) * time.Millisecond
		return err
	}
	h, err := record.DecodeHeader(int(format), header.b)
	switch {
	case err != nil && (f.expired || !f.alive):
		return nil // nobody would replay it
	case err != nil:
		return fmt.Errorf("txstore: %w: %w", idem.ErrRecordUnreadable, err)
	}
	f.cached = &idem.Cached{
		Status: int(status.Int32), Header: h, Body: body.b,
		RequestHash: f.hash, StoredAt: time.UnixMicro(storedAt),
	}
	return nil
}

// bytea is a column of that type in whatever form it comes: binary, or a text
// whose form a handler can change with SET bytea_output.
type bytea struct {
	b   []byte
	err error
}

func (v *bytea) take(rows pgx.Rows, column int) {
	raw := rows.RawValues()[column]
	switch {
	case raw == nil:
	case rows.FieldDescriptions()[column].Format == pgtype.BinaryFormatCode:
		v.b = append([]byte{}, raw...) // raw is the connection's buffer
	case len(raw) >= 2 && raw[0] == '\\' && raw[1] == 'x':
		v.b, v.err = hex.DecodeString(string(raw[2:]))
	default:
		v.b, v.err = unescapeBytea(raw)
	}
}

// unescapeBytea reads the escape form: a backslash stands before itself, or
// before three octal digits.
func unescapeBytea(raw []byte) ([]byte, error) {
	b := make([]byte, 0, len(raw))
	for len(raw) > 0 {
		switch {
		case raw[0] != '\\':
			b, raw = append(b, raw[0]), raw[1:]
		case len(raw) >= 2 && raw[1] == '\\':
			b, raw = append(b, '\\'), raw[2:]
		case len(raw) >= 4 && isOctal(raw[1:4]):
			b, raw = append(b, raw[1]<<6|raw[2]&7<<3|raw[3]&7), raw[4:]
		default:
			return nil, errors.New("txstore: bytea in an unknown form")
		}
	}
	return b, nil
}

func isOctal(digits []byte) bool {
	for _, d := range digits {
		if d < '0' || d > '7' {
			return false
		}
	}
	return true
}
