package check

import "github.com/pgidem/pgidem/torture/history"

// Counts say how much a run was put to: without them a verdict says little.
type Counts struct {
	Requests   int
	Keys       int
	Rows       int
	Unanswered int
	// Fresh are final answers of a run, Replayed those from a record, Refused
	// all other answers.
	Fresh    int
	Replayed int
	Refused  int
	// Retried are keys that were asked for more than once.
	Retried int
	// Faults are the faults injected, by kind.
	Faults map[string]int
	// Longest is the longest time for which a key was unusable.
	Longest Stretch
}

func count(run history.Run) Counts {
	keys := keysOf(run)
	c := Counts{Requests: len(run.Requests), Keys: len(keys), Rows: len(run.Rows), Faults: make(map[string]int)}
	for _, f := range run.Faults {
		c.Faults[f.Kind]++
	}
	for _, k := range keys {
		if len(k.requests) > 1 {
			c.Retried++
		}
		for _, a := range k.requests {
			c.add(a)
		}
	}
	return c
}

func (c *Counts) add(a asked) {
	switch {
	case !a.Answered:
		c.Unanswered++
	case a.effect != final:
		c.Refused++
	case a.Replayed:
		c.Replayed++
	default:
		c.Fresh++
	}
}
