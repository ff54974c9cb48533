package storm

import (
	"fmt"
	"slices"
	"time"
)

// Result is what became of a storm.
type Result struct {
	Runs int
	// Late is how long after its Commit began each right answer was there, in
	// milliseconds, the last of them last.
	Late []float64
	// Commit is how long that took.
	Commit time.Duration
	Failed []string
	// Held is how many pool connections waiters held, in the process where they
	// held most.
	Held int
	// PerWaiter is the memory that each duplicate took while it waited, its
	// request and the harness's part included, and Grown how much more that was
	// late than early in the wait; Left is what of it was there in the end. All
	// in bytes.
	PerWaiter, Grown, Left float64
}

// Sum sums up what the processes of one storm have seen.
func Sum(outcomes []Outcome) (r Result) {
	var committed time.Time
	for _, o := range outcomes {
		r.Runs += o.Runs
		r.Failed = append(r.Failed, o.Failed...)
		r.Held = max(r.Held, o.Held)
		if o.Runs > 0 {
			committed, r.Commit = o.Committed, o.Commit
		}
	}
	for _, o := range outcomes {
		for _, at := range o.Answered {
			r.Late = append(r.Late, max(0, at.Sub(committed).Seconds()*1000))
		}
	}
	slices.Sort(r.Late)
	r.remember(outcomes)
	return r
}

// remember sums the memory up.
func (r *Result) remember(outcomes []Outcome) {
	all := float64(max(1, len(r.Late)+len(r.Failed)))
	for _, o := range outcomes {
		r.PerWaiter += (float64(o.Early) - float64(o.Before)) / all
		r.Grown += (float64(o.Late) - float64(o.Early)) / all
		r.Left += (float64(o.After) - float64(o.Before)) / all
	}
}

// Check returns an error unless the request ran once and each of so many
// duplicates had the answer.
func (r Result) Check(duplicates int) error {
	if r.Runs == 1 && len(r.Late) == duplicates && len(r.Failed) == 0 {
		return nil
	}
	first := ""
	if len(r.Failed) > 0 {
		first = ": " + r.Failed[0]
	}
	return fmt.Errorf("%d runs and %d right answers, want 1 and %d; %d wrong answers%s", r.Runs, len(r.Late), duplicates, len(r.Failed), first)
}
