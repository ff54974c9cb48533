package txstore

import (
	"hash/maphash"
	"sync/atomic"
	"time"

	"github.com/pgidem/pgidem/idem"
)

// completed notes that the key of f has a record, which was to be replayed for
// so much longer at the moment asked, before the database was.
func (s *Store) completed(f *flight, record *idem.Cached, asked time.Time, left time.Duration) {
	s.flights.completed(f, asked.Add(left))
	s.expectations.completed(f.key)
	s.replays.Put(f.key, record, asked, left)
}

const (
	// recentKeys is how many completed keys a Store knows again: 32 KiB.
	recentKeys = 1 << 13
	// The share of replays is a moving average over about 1<<shareShift
	// requests, of shareOne for certainty.
	shareOne   = 1 << 16
	shareShift = 5
)

// expectations decide whether a request is more likely a retry of a completed
// one than the first of its key. A replay that was glanced at takes one round
// trip and one statement, one found by reserving two round trips and five
// statements; a fresh request that was glanced at takes one of each more. So a
// Store glances at the keys that it has seen completed itself, and at all of them
// while most requests are replays. A wrong guess costs a round trip, never an
// answer.
type expectations struct {
	seed   maphash.Seed
	share  atomic.Int32
	recent [recentKeys]atomic.Uint32 // by the low bits of a key's number, the number
}

func newExpectations() *expectations { return &expectations{seed: maphash.MakeSeed()} }

func (e *expectations) number(key string) uint32 {
	return uint32(maphash.String(e.seed, key)>>32) | 1<<31 //nolint:gosec // any 31 bits of it do
}

// replay tells whether a request with key is expected to be one.
func (e *expectations) replay(key string) bool {
	n := e.number(key)
	return e.share.Load() > shareOne/2 || e.recent[n%recentKeys].Load() == n
}

// completed remembers a key whose record stands.
func (e *expectations) completed(key string) {
	n := e.number(key)
	e.recent[n%recentKeys].Store(n)
}

// saw counts a request. Two at a time may count as one.
func (e *expectations) saw(replay bool) {
	share := e.share.Load()
	target := int32(0)
	if replay {
		target = shareOne
	}
	e.share.Store(share + (target-share)>>shareShift)
}
