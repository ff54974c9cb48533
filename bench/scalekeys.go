package main

import (
	"math/rand/v2"

	"github.com/pgidem/pgidem/bench/internal/contend"
)

// source sends fresh requests with keys of the table's kind, or retries of any
// of its records.
func (t *table) source(w contend.Workload) func() contend.Request {
	if w == contend.Replay {
		return func() contend.Request {
			return contend.Request{Key: t.keys.At(rand.IntN(t.keys.Count)), Retry: true}
		}
	}
	return func() contend.Request { return contend.Request{Key: t.keys.Kind.New()} }
}
