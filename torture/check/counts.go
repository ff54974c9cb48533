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
	// Mismatched are requests whose key stood for another, Again runs of a key
	// after the record of the run before had expired, and Expired requests that
	// were refused since it had.
	Mismatched int
	Again      int
	Expired    int
	// Faults are the faults that met somebody, by kind, Missed those that did
	// not, and Tries how often either kind was tried.
	Faults map[string]int
	Missed map[string]int
	Tries  map[string]int
	// Longest is the longest time for which a key was unusable.
	Longest Stretch
}

func count(run history.Run) Counts {
	keys := keysOf(run)
	c := Counts{Requests: len(run.Requests), Keys: len(keys), Rows: len(run.Rows)}
	c.countFaults(run.Faults)
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

func (c *Counts) countFaults(faults []history.Fault) {
	c.Faults, c.Missed, c.Tries = make(map[string]int), make(map[string]int), make(map[string]int)
	for _, f := range faults {
		c.Tries[f.Kind] += f.Tries
		if f.Missed {
			c.Missed[f.Kind]++
		} else {
			c.Faults[f.Kind]++
		}
	}
}

func (c *Counts) add(a asked) {
	switch {
	case !a.Answered:
		c.Unanswered++
	case a.effect == mismatched:
		c.Mismatched++
	case a.effect == expired:
		c.Expired++
	case a.effect != final:
		c.Refused++
	case a.Replayed:
		c.Replayed++
	default:
		c.Fresh++
	}
}
