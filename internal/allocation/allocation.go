// Package allocation measures, for tests, what requests allocate.
package allocation

import "runtime"

// Cost is what one request allocates.
type Cost struct{ Allocations, Bytes float64 }

// Less returns how much c is above base.
func (c Cost) Less(base Cost) Cost {
	return Cost{c.Allocations - base.Allocations, c.Bytes - base.Bytes}
}

// Exceeds tells whether c is above limit in either.
func (c Cost) Exceeds(limit Cost) bool {
	return c.Allocations > limit.Allocations || c.Bytes > limit.Bytes
}

// Of measures so many requests, behind one that is not measured. It counts what the
// whole process allocates meanwhile: nothing else must run.
func Of(runs int, request func(i int)) Cost {
	request(0)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for i := 1; i <= runs; i++ {
		request(i)
	}
	runtime.ReadMemStats(&after)
	return Cost{
		Allocations: float64(after.Mallocs-before.Mallocs) / float64(runs),
		Bytes:       float64(after.TotalAlloc-before.TotalAlloc) / float64(runs),
	}
}
