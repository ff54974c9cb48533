package txstore

import (
	"encoding/binary"
	"encoding/hex"
	"time"
)

// params are the parameters of one statement, one after the other, in the
// server's binary form. Its zero value has none.
type params struct {
	values [][]byte
	// What is short lies here, and allocates nothing.
	few  [11][]byte
	room [192]byte
	used int
}

func (p *params) reset() {
	clear(p.values)
	p.values, p.used = nil, 0
}

// all returns the parameters; p may be nil.
func (p *params) all() [][]byte {
	if p == nil {
		return nil
	}
	return p.values
}

// put appends a parameter; nil is null.
func (p *params) put(value []byte) *params {
	if p.values == nil {
		p.values = p.few[:0]
	}
	p.values = append(p.values, value)
	return p
}

// space returns n bytes to write a parameter into.
func (p *params) space(n int) []byte {
	if p.used+n > len(p.room) {
		return make([]byte, n)
	}
	b := p.room[p.used : p.used+n : p.used+n]
	p.used += n
	return b
}

func (p *params) null() *params { return p.put(nil) }

func (p *params) boolean(v bool) *params {
	b := p.space(1)
	b[0] = 0
	if v {
		b[0] = 1
	}
	return p.put(b)
}

func (p *params) int2(v int16) *params {
	b := p.space(2)
	binary.BigEndian.PutUint16(b, uint16(v)) //nolint:gosec // the same 16 bits
	return p.put(b)
}

func (p *params) int4(v int32) *params {
	b := p.space(4)
	binary.BigEndian.PutUint32(b, uint32(v)) //nolint:gosec // the same 32 bits
	return p.put(b)
}

func (p *params) text(v string) *params {
	b := p.space(len(v))
	copy(b, v)
	return p.put(b)
}

// bytes puts a bytea that is not null: an empty body is empty in the database,
// and not absent. It is read when the statement is queued.
func (p *params) bytes(v []byte) *params {
	if v == nil {
		v = p.space(0)
	}
	return p.put(v)
}

// uuid puts an attempt id, which always has the form of one.
func (p *params) uuid(v string) *params {
	digits := make([]byte, 0, 36)
	for i := range len(v) {
		if v[i] != '-' {
			digits = append(digits, v[i])
		}
	}
	b := p.space(16)
	if len(digits) != 32 {
		return p.null() // and the column refuses it
	}
	if _, err := hex.Decode(b, digits); err != nil {
		return p.null()
	}
	return p.put(b)
}

// interval puts a duration, to the microsecond.
func (p *params) interval(v time.Duration) *params { return p.microseconds(v.Microseconds()) }

// remembered puts how long the key of a record with ttl is remembered in all, null
// if no longer than the record. The sum may be more than a Duration holds.
func (p *params) remembered(ttl, after time.Duration) *params {
	if after <= 0 {
		return p.null()
	}
	return p.microseconds(ttl.Microseconds() + after.Microseconds())
}

func (p *params) microseconds(n int64) *params {
	b := p.space(16)
	binary.BigEndian.PutUint64(b, uint64(n)) //nolint:gosec // the same 64 bits
	clear(b[8:])                             // days and months
	return p.put(b)
}

// moment puts a time.
func (p *params) moment(v moment) *params {
	b := p.space(8)
	binary.BigEndian.PutUint64(b, uint64(v-epoch2000)) //nolint:gosec // the same 64 bits
	return p.put(b)
}
