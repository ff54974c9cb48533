package check

import (
	"fmt"
	"time"

	"github.com/pgidem/pgidem/torture/history"
)

// judgeRuns judges how often the key's handler has run to its end.
//
// In a transaction that is once. Under a lease it may run again when the lease
// was lost, or when its commit succeeded unheard of; that takes a fault, which
// the history shows, and one run that met a fault explains one more, not two.
func (v *Verdict) judgeRuns(k *key, faults []history.Fault, aftermath time.Duration) {
	fresh := k.where(func(a asked) bool { return a.effect == final && !a.Replayed })
	second := max(len(k.rows), len(fresh)) - 1
	if second < 1 {
		return
	}
	if !k.transactional() && second <= len(k.excuses(faults, aftermath)) {
		v.Reports = append(v.Reports, k.finding(SecondRun, fmt.Sprintf("ran %d times", second+1), fresh...))
		return
	}
	if len(k.rows) > 1 {
		v.violated(k.finding(DuplicateRow, fmt.Sprintf("%d rows", len(k.rows)), k.mayHavePaid()...))
	}
	if len(fresh) > 1 {
		v.violated(k.finding(RanTwice, fmt.Sprintf("%d answers that are no replays", len(fresh)), fresh...))
	}
}

// excuses are the runs after which the key may have run again: those that a
// fault met.
func (k *key) excuses(faults []history.Fault, aftermath time.Duration) []asked {
	return k.where(func(a asked) bool {
		hasRun := a.effect == unknown || a.effect == discarded || a.effect == final && !a.Replayed
		return hasRun && met(a, faults, aftermath)
	})
}

// met tells whether a fault was in force at the request's server while the
// request was.
func met(a asked, faults []history.Fault, aftermath time.Duration) bool {
	for _, f := range faults {
		here := f.Server == 0 || f.Server == a.Server
		if here && f.At <= a.Ended && a.Sent <= f.At+f.Lasted+aftermath {
			return true
		}
	}
	return false
}
