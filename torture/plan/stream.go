package plan

import (
	"math/rand/v2"
	"time"
)

// Each part of a plan has random numbers of its own: a run that lasts longer
// draws more of some, and the others stay what they are.
const (
	schedule   uint64 = 1 << 32
	operations uint64 = 2 << 32
)

func stream(seed, number uint64) *rand.Rand {
	return rand.New(rand.NewPCG(seed, number)) //nolint:gosec // a plan, no secret
}

// between returns a duration from low up to high, without high itself.
func between(random *rand.Rand, low, high time.Duration) time.Duration {
	return low + time.Duration(random.Int64N(int64(high-low)))
}
