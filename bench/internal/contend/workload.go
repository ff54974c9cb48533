package contend

import (
	"math/rand/v2"
	"sync/atomic"

	"github.com/pgidem/pgidem/bench/internal/payment"
)

// Workload says which requests arrive.
type Workload string

const (
	// Fresh requests have a key each that nobody has used.
	Fresh Workload = "fresh"
	// Replay is retries of requests served long ago, spread over many keys.
	Replay Workload = "replay"
	// Hot is retries of one request, over and over.
	Hot Workload = "hot"
	// Storm is the same request from all clients at once, and then the next.
	Storm Workload = "storm"
	// Mixed is fresh requests with two retries in a hundred among them.
	Mixed Workload = "mixed"
)

// Workloads are all of them, in the order of the tables.
var Workloads = []Workload{Fresh, Replay, Hot, Storm, Mixed}

// retriesOf100 is how many of a hundred mixed requests are retries.
const retriesOf100 = 2

// Source returns what one client sends, one request a call. known are the keys
// that were served before, storm those that all clients have in common. Each
// client has a Source of its own.
func (w Workload) Source(known []string, storm *StormKeys) func() Request {
	some := func() Request { return Request{Key: known[rand.IntN(len(known))], Retry: true} }
	fresh := func() Request { return Request{Key: payment.NewKey()} }
	switch w {
	case Replay:
		return some
	case Hot:
		return func() Request { return Request{Key: known[0], Retry: true} }
	case Storm:
		round := 0
		return func() Request {
			round++
			return Request{Key: storm.of(round), Together: true}
		}
	case Mixed:
		return func() Request {
			if rand.IntN(100) < retriesOf100 {
				return some()
			}
			return fresh()
		}
	default:
		return fresh
	}
}

// StormKeys are the keys of one storm, the same for all clients, none of them
// known before.
type StormKeys struct {
	prefix string
	// Begun is the highest round that a client has asked for.
	Begun atomic.Int64
}

// NewStormKeys returns the keys of a new storm.
func NewStormKeys() *StormKeys { return &StormKeys{prefix: payment.NewKey()[:24]} }

func (s *StormKeys) of(round int) string {
	for begun := s.Begun.Load(); begun < int64(round); begun = s.Begun.Load() {
		s.Begun.CompareAndSwap(begun, int64(round))
	}
	return s.prefix + hex12(round)
}

func hex12(n int) string {
	const digits = "0123456789abcdef"
	b := []byte("000000000000")
	for i := len(b) - 1; n > 0; i-- {
		b[i] = digits[n%16]
		n /= 16
	}
	return string(b)
}
