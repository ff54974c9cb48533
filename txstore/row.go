package txstore

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
)

// row reads the columns of the current row one after the other. They come in
// binary or as text, as the connection's way of executing queries will have it;
// pgx's own Scan would plan and allocate for each of them, in every request.
//
// What it returns shares no memory with the connection. After the first column
// that cannot be read, err is set and the rest is zero.
type row struct {
	values [][]byte
	fields []pgconn.FieldDescription
	err    error
}

func rowOf(rows pgx.Rows) *row {
	return &row{values: rows.RawValues(), fields: rows.FieldDescriptions()}
}

// next returns the next column; raw is nil if it is null, or nothing is left.
func (r *row) next() (raw []byte, isBinary bool) {
	raw, field := r.column()
	return raw, field.Format == pgtype.BinaryFormatCode
}

func (r *row) column() (raw []byte, field pgconn.FieldDescription) {
	if r.err != nil {
		return nil, field
	}
	if len(r.values) == 0 {
		r.err = errors.New("txstore: the server's row has too few columns")
		return nil, field
	}
	raw, field = r.values[0], r.fields[0]
	r.values, r.fields = r.values[1:], r.fields[1:]
	return raw, field
}

func (r *row) fail(what string, raw []byte) {
	r.err = fmt.Errorf("txstore: the server's %s of %d bytes cannot be read", what, len(raw))
}

func (r *row) boolean() bool {
	raw, isBinary := r.next()
	return len(raw) == 1 && (isBinary && raw[0] == 1 || !isBinary && raw[0] == 't')
}

// integer reads a number of any width; ok is false for null.
func (r *row) integer() (n int64, ok bool) {
	raw, isBinary := r.next()
	switch {
	case raw == nil:
		return 0, false
	case !isBinary:
		n, err := strconv.ParseInt(string(raw), 10, 64)
		if err != nil {
			r.fail("number", raw)
		}
		return n, true
	}
	switch len(raw) {
	case 2:
		return int64(int16(binary.BigEndian.Uint16(raw))), true //nolint:gosec // the same 16 bits
	case 4:
		return int64(int32(binary.BigEndian.Uint32(raw))), true //nolint:gosec // the same 32 bits
	case 8:
		return int64(binary.BigEndian.Uint64(raw)), true //nolint:gosec // the same 64 bits
	}
	r.fail("number", raw)
	return 0, true
}

func (r *row) text() string {
	raw, _ := r.next()
	return string(raw)
}

// uuid reads a UUID in its text form.
func (r *row) uuid() string {
	raw, isBinary := r.next()
	switch {
	case !isBinary:
		return string(raw)
	case len(raw) == 16:
		return pgtype.UUID{Bytes: [16]byte(raw), Valid: true}.String()
	}
	r.fail("uuid", raw)
	return ""
}

// moment is a time by the server's clock, in microseconds since 1970; 0 is null.
type moment int64

const (
	// epoch2000 is where the binary form of a time counts from.
	epoch2000 = 946_684_800_000_000
	// What the server calls infinity lies beyond every other moment.
	endOfTime, beginOfTime = math.MaxInt64, math.MinInt64
)

func (m moment) time() time.Time { return time.UnixMicro(int64(m)) }

// moment reads a time, or the number of one.
func (r *row) moment() moment {
	if len(r.fields) > 0 && r.fields[0].DataTypeOID == pgtype.Int8OID {
		n, _ := r.integer()
		return moment(n)
	}
	raw, isBinary := r.next()
	switch {
	case raw == nil:
		return 0
	case !isBinary:
		return r.momentOfText(raw)
	case len(raw) != 8:
		r.fail("time", raw)
		return 0
	}
	us := int64(binary.BigEndian.Uint64(raw)) //nolint:gosec // the same 64 bits
	if us == endOfTime || us == beginOfTime {
		return moment(us)
	}
	return moment(us + epoch2000)
}

// momentOfText reads a time in the server's text form, if its DateStyle is ISO.
func (r *row) momentOfText(raw []byte) moment {
	var t pgtype.Timestamptz
	plan := (&pgtype.TimestamptzCodec{}).PlanScan(nil, pgtype.TimestamptzOID, pgtype.TextFormatCode, &t)
	if err := plan.Scan(raw, &t); err != nil || t.InfinityModifier != pgtype.Finite {
		r.fail("time", raw)
		return 0
	}
	return moment(t.Time.UnixMicro())
}

// bytes reads a bytea; nil is null. Its text has one of two forms, of which a
// handler can choose with SET bytea_output.
func (r *row) bytes() []byte {
	raw, isBinary := r.next()
	if raw == nil || r.err != nil {
		return nil
	}
	var b []byte
	switch {
	case isBinary:
		b = append([]byte{}, raw...) // raw is the connection's buffer
	case len(raw) >= 2 && raw[0] == '\\' && raw[1] == 'x':
		b, r.err = hex.DecodeString(string(raw[2:]))
	default:
		b, r.err = unescapeBytea(raw)
	}
	return b
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
