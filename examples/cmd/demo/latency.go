package main

import (
	"slices"
	"time"
)

// latencies are how long clients waited for a final answer, in one try.
type latencies struct{ all []time.Duration }

func (l *latencies) add(d time.Duration) { l.all = append(l.all, d) }

// percentile returns the value that p percent of all do not exceed, 0 if there
// are none.
func (l *latencies) percentile(p int) time.Duration {
	if len(l.all) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(l.all))
	return sorted[(len(sorted)-1)*p/100]
}

// told are the numbers that the answers yield.
type told struct {
	first, replays, waits int
	// ran, waited and known are the latencies of those whose request ran, of
	// those that waited for another, and of those whose answer was there.
	ran, waited, known latencies
}

// sumUp sorts the answers. A replay that was asked for while the payment's
// handler was still held has waited for it; the ledger's clock says when that
// was.
func sumUp(plan []payment, answers []history) (t told) {
	for i, h := range answers {
		for _, a := range h.answers {
			created, err := a.payment()
			switch {
			case !a.replayed:
				t.first++
				t.ran.add(a.latency)
			case err == nil && a.sentAt.Before(created.CreatedAt.Add(plan[i].hold)):
				t.replays++
				t.waits++
				t.waited.add(a.latency)
			default:
				t.replays++
				t.known.add(a.latency)
			}
		}
	}
	return t
}
