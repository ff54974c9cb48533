// Package filling makes records tables large, fast.
package filling

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/pgidem/pgidem/bench/internal/payment"
)

// Keys are as many idempotency keys as wanted, none of them kept: each is made
// from its number, and always the same.
type Keys struct {
	Kind Kind
	// Count is how many there are. Their times, where they have one, are spread
	// over the day before End.
	Count int
	End   time.Time
	// Seed makes the keys differ from those of another Keys.
	Seed uint64
}

// Kind is a version of UUIDs.
type Kind string

const (
	// V4 keys are random: each falls anywhere in the index.
	V4 Kind = "v4"
	// V7 keys begin with their time: new ones fall at the index's end.
	V7 Kind = "v7"
)

// ParseKind reads the name of a Kind.
func ParseKind(name string) (Kind, error) {
	if k := Kind(name); k == V4 || k == V7 {
		return k, nil
	}
	return "", fmt.Errorf("%q is none of %s, %s", name, V4, V7)
}

// day is what the records of a table with the default TTL span.
const day = 24 * time.Hour

// At returns the key of number i.
func (k Keys) At(i int) string {
	random := rand.NewPCG(k.Seed, uint64(i)) //nolint:gosec // a number, not a secret
	return k.Kind.uuid(random.Uint64(), random.Uint64(), k.timeAt(i))
}

// New returns a key that is made now.
func (k Kind) New() string { return k.uuid(rand.Uint64(), rand.Uint64(), time.Now()) }

// timeAt is when number i was made.
func (k Keys) timeAt(i int) time.Time {
	return k.End.Add(-day + time.Duration(float64(day)*float64(i)/float64(k.Count)))
}

func (k Kind) uuid(high, low uint64, at time.Time) string {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], high)
	binary.BigEndian.PutUint64(b[8:], low)
	version := byte(0x40)
	if k == V7 {
		version = 0x70
		var ms [8]byte
		binary.BigEndian.PutUint64(ms[:], uint64(at.UnixMilli())) //nolint:gosec // after 1970
		copy(b[:6], ms[2:])
	}
	b[6] = b[6]&0x0f | version
	b[8] = b[8]&0x3f | 0x80
	return payment.UUID(b)
}
