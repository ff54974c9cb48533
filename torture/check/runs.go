package check

import (
	"fmt"
	"time"

	"github.com/pgidem/pgidem/torture/history"
)

// judgeRuns judges how often the key's handler has run to its end.
//
// In a transaction that is once while its record lives. Under a lease it may run
// again when the lease was lost, or when its commit succeeded unheard of; that
// takes a fault, which the history shows, and one run that met a fault explains
// one more, not two.
func (v *Verdict) judgeRuns(k *key, faults []history.Fault, limits Limits) {
	fresh := k.where(func(a asked) bool { return a.effect == final && !a.Replayed })
	rows := k.early(momentsOfRows(k.rows), limits.ClockError)
	answers := k.early(momentsOfAnswers(fresh), limits.ClockError)
	v.Counts.Again += max(0, max(len(k.rows)-rows, len(fresh)-answers)-1)
	second := max(rows, answers)
	if second < 1 {
		return
	}
	if !k.transactional() && second <= len(k.excuses(faults, limits.Aftermath)) {
		v.Reports = append(v.Reports, k.finding(SecondRun, fmt.Sprintf("ran %d times too often", second), fresh...))
		return
	}
	if rows > 0 {
		v.violated(k.finding(DuplicateRow, fmt.Sprintf("%d rows, %d of them too soon", len(k.rows), rows), k.mayHavePaid()...))
	}
	if answers > 0 {
		v.violated(k.finding(RanTwice, fmt.Sprintf("%d answers that are no replays, %d of them too soon", len(fresh), answers), fresh...))
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
		if here && !f.Missed && f.At <= a.Ended && a.Sent <= f.At+f.Lasted+aftermath {
			return true
		}
	}
	return false
}
