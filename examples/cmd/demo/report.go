package main

import (
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// maxFaults bounds how many faults are listed.
const maxFaults = 8

// report writes the table that a run ends with.
func report(s *screen, storm *storm, l ledger, v *verdict, elapsed time.Duration) {
	told := sumUp(storm.plan, storm.answers)
	reportClients(s, storm, told)
	reportLedger(s, l, v)
	s.line("")
	s.line("%s", s.paint(bold, "How long an answer took")+s.paint(faint, "          p50          p99"))
	s.quantiles("request that ran", told.ran, fmt.Sprintf("its handler was held %v to %v", minHold, maxHold))
	s.quantiles("duplicate that waited", told.waited, "for what was left of that")
	s.quantiles("late duplicate", told.known, "the answer was there")
	s.row("storm, elapsed", fmt.Sprintf("%.1f s", elapsed.Seconds()), "")
	s.line("")
}

func reportClients(s *screen, storm *storm, answers told) {
	t := storm.tally
	s.line("")
	s.line("%s", s.paint(bold, "What the clients saw"))
	s.row("keys", number(len(storm.plan)), fmt.Sprintf("%d tenants use the same keys", tenantCount))
	s.row("requests sent", number(t.sent.Load()), fmt.Sprintf("%.1f for each key", float64(t.sent.Load())/float64(len(storm.plan))))
	s.row("first answers", number(answers.first), "201, to the client whose request ran and who stayed")
	s.row("replays", number(answers.replays), "201, the recorded answer")
	s.row("  of these, waits", number(answers.waits), "the original was still running")
	s.row("409 in flight", number(t.withStatus(http.StatusConflict, http.StatusConflict)), "wait was over, sent again")
	s.row("422 hash mismatch", number(t.withStatus(http.StatusUnprocessableEntity, http.StatusUnprocessableEntity)), "key used again for another amount")
	s.row("5xx", number(t.withStatus(500, 599)), "sent again with the same key")
	s.row("client time-outs", number(t.timedOut.Load()), "sent again with the same key")
	s.row("client hang-ups", number(t.hungUp.Load()), "sent again with the same key")
	s.row("connection errors", number(t.broken.Load()), "of the process that was killed")
}

// reportLedger leaves out what only a store with a lesser promise can have.
func reportLedger(s *screen, l ledger, v *verdict) {
	s.line("")
	s.line("%s", s.paint(bold, "What the database says"))
	s.row("handler runs", number(l.runs), fmt.Sprintf("%d of them killed or rolled back", l.runs-int64(len(l.payments))))
	s.row("payments in the ledger", number(len(l.payments)), "")
	if v.promise.lease == 0 {
		return
	}
	s.row("keys paid more than once", number(v.again), "killed between the payment and its record")
	if v.again > 0 {
		s.row("soonest second payment", milliseconds(v.soonest), fmt.Sprintf("after the first; its key was reserved just before it, for %v", v.promise.lease))
	}
}

func (s *screen) quantiles(name string, l latencies, remark string) {
	line := fmt.Sprintf("  %-24s %12s %12s   %s", name, milliseconds(l.percentile(50)), milliseconds(l.percentile(99)), s.paint(faint, remark))
	s.line("%s", line)
}

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000)
}

// number writes n with its thousands apart.
func number[T int | int64](n T) string {
	text := strconv.FormatInt(int64(n), 10)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + " " + text[i:]
	}
	return text
}

// conclude writes the verdict and tells whether the store has kept its promise.
func conclude(s *screen, v *verdict, o options) bool {
	for i, fault := range v.faults {
		if i == maxFaults {
			s.line("  … and %d more", len(v.faults)-maxFaults)
			break
		}
		s.line("  %s %s", s.paint(red, "✗"), fault)
	}
	s.line("%s", s.paint(v.colour(), v.String()))
	switch {
	case !v.holds():
		s.line("The promise does not hold. To send the same requests again: -seed %d", o.seed)
	case v.note() != "":
		s.line("%s", v.note())
	}
	return v.holds()
}

// colour is green only where nothing was made twice: a store may keep its promise
// and yet have promised too little.
func (v *verdict) colour() string {
	switch {
	case !v.holds():
		return red
	case v.duplicates+v.reused > 0:
		return yellow
	}
	return green
}
