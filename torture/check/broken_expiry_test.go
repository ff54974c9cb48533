package check_test

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/pgidem/pgidem/torture/check"
	"github.com/pgidem/pgidem/torture/history"
)

var (
	brief      = kind{brief: true}
	remembered = kind{brief: true, remembered: true}
	misused    = kind{misused: true}
)

// ofExpiry are wrong where records live for ttl.
var ofExpiry = []breakage{
	{name: "PaidAgainBeforeExpiry", rule: check.DuplicateRow, keys: brief, apply: func(run *history.Run) bool {
		run.Faults = nil
		return withRow(run, func(row *history.Row) {
			again := *row
			again.ID, again.PaidAt = 1000, row.PaidAt+(ttl/2).Microseconds()
			run.Rows = append(run.Rows, again)
			run.Balances[row.Account] += row.Amount
		})
	}},
	{name: "RefusedAgainBeforeExpiry", rule: check.RanTwice, keys: brief, apply: func(run *history.Run) bool {
		run.Faults = nil
		return onRequest(run, isFresh, func(r *history.Request) { addRun(run, *r, ttl/2, false) })
	}},
	{name: "ReplayOfAnotherRunBeforeExpiry", rule: check.DifferentAnswers, keys: brief, apply: func(run *history.Run) bool {
		return onRequest(run, isReplay, func(r *history.Request) { addRun(run, *r, ttl/2, true) })
	}},
	{name: "ReplayAfterExpiry", rule: check.NotLinearizable, keys: brief, apply: func(run *history.Run) bool {
		return onRequest(run, isReplay, func(r *history.Request) {
			late := *r
			late.Sent, late.Ended = r.Ended+ttl+200*time.Millisecond, r.Ended+ttl+201*time.Millisecond
			run.Requests = append(run.Requests, late)
		})
	}},
}

// ofMemory are wrong where the key is remembered after that.
var ofMemory = []breakage{
	{name: "PaidAgainAfterExpiry", rule: check.DuplicateRow, keys: remembered, apply: func(run *history.Run) bool {
		run.Faults = nil
		return withRow(run, func(row *history.Row) {
			again := *row
			again.ID, again.PaidAt = 1000, row.PaidAt+(3*ttl).Microseconds()
			run.Rows = append(run.Rows, again)
			run.Balances[row.Account] += row.Amount
		})
	}},
	{name: "RefusedAgainAfterExpiry", rule: check.RanTwice, keys: remembered, apply: func(run *history.Run) bool {
		run.Faults = nil
		return onRequest(run, isFresh, func(r *history.Request) { addRun(run, *r, 3*ttl, false) })
	}},
	{name: "ExpiredThoughNotRemembered", rule: check.UnexpectedAnswer, keys: brief, apply: func(run *history.Run) bool {
		return onRequest(run, isReplay, func(r *history.Request) { problem(r, 409, "key-expired") })
	}},
	{name: "ExpiredTooSoon", rule: check.NotLinearizable, keys: remembered, apply: func(run *history.Run) bool {
		return onRequest(run, isReplay, func(r *history.Request) {
			sooner := *r
			sooner.Sent, sooner.Ended = r.Ended+1, r.Ended+2
			run.Requests = append(run.Requests, sooner)
			problem(r, 409, "key-expired")
		})
	}},
	{name: "ExpiredWithoutARun", rule: check.NotLinearizable, keys: remembered, apply: func(run *history.Run) bool {
		i := slices.IndexFunc(run.Requests, isExpired)
		if i < 0 {
			return false
		}
		late := run.Requests[i]
		run.Requests = slices.DeleteFunc(run.Requests, func(r history.Request) bool {
			return r.Tenant == late.Tenant && r.Key == late.Key && !isExpired(r)
		})
		run.Rows = slices.DeleteFunc(run.Rows, func(row history.Row) bool {
			if row.Tenant != late.Tenant || row.Key != late.Key {
				return false
			}
			run.Balances[row.Account] -= row.Amount
			return true
		})
		return true
	}},
	{name: "ReplayAfterItWasGone", rule: check.NotLinearizable, keys: remembered, apply: func(run *history.Run) bool {
		return onRequest(run, isReplay, func(r *history.Request) {
			late := *r
			late.Sent, late.Ended = 10*time.Second, 10*time.Second+1
			problem(&late, 409, "key-expired")
			again := *r
			again.Sent, again.Ended = late.Ended+1, late.Ended+2
			run.Requests = append(run.Requests, late, again)
		})
	}},
	{name: "ExpiredForAnotherRequest", rule: check.NotLinearizable, keys: remembered, apply: func(run *history.Run) bool {
		return onRequest(run, isExpired, func(r *history.Request) { r.Amount += otherAmount })
	}},
}

// ofOtherRequests are wrong where two requests come with a key.
var ofOtherRequests = []breakage{
	{name: "OtherRequestReplayed", rule: check.ForeignAnswer, keys: misused, apply: func(run *history.Run) bool {
		return onRequest(run, isReplay, func(r *history.Request) { r.Amount += otherAmount })
	}},
	{name: "OtherRequestRan", rule: check.DuplicateRow, keys: misused, apply: func(run *history.Run) bool {
		run.Faults = nil
		return withRow(run, func(row *history.Row) {
			other := *row
			other.ID, other.Amount = 1000, row.Amount+otherAmount
			run.Rows = append(run.Rows, other)
			run.Balances[row.Account] += other.Amount
		})
	}},
	{name: "MismatchBeforeTheOtherWasSent", rule: check.UnexpectedAnswer, keys: misused, apply: func(run *history.Run) bool {
		return onRequest(run, isReplay, func(r *history.Request) {
			r.Sent, r.Ended = -2, -1
			problem(r, 422, "hash-mismatch")
		})
	}},
	{name: "MismatchWithItsOwnRecord", rule: check.NotLinearizable, keys: misused, apply: func(run *history.Run) bool {
		i := slices.IndexFunc(run.Requests, isMismatch)
		if i < 0 {
			return false
		}
		other := run.Requests[i]
		same := func(r history.Request) bool { return r.Tenant == other.Tenant && r.Key == other.Key }
		run.Requests = slices.DeleteFunc(run.Requests, func(r history.Request) bool {
			return same(r) && r.Amount == other.Amount && !isMismatch(r)
		})
		// After all the others: one of them may have met an attempt that was undone.
		last := time.Duration(0)
		for _, r := range run.Requests {
			if same(r) && isMismatch(r) {
				last = max(last, r.Ended)
			}
		}
		return onRequest(run, func(r history.Request) bool { return same(r) && r.Replayed && r.Ended > last }, func(r *history.Request) {
			addLater(run, *r, 422, "hash-mismatch")
		})
	}},
}

// whileItLives are wrong where a run's answer shows its record.
var whileItLives = []breakage{
	{name: "InFlightBeforeExpiry", rule: check.NotLinearizable, keys: brief, apply: func(run *history.Run) bool {
		return onRequest(run, isFresh, func(r *history.Request) { addLater(run, *r, 409, "in-flight") })
	}},
}

func isFresh(r history.Request) bool    { return isFinal(r) && !r.Replayed }
func isExpired(r history.Request) bool  { return r.Problem == "key-expired" }
func isMismatch(r history.Request) bool { return r.Problem == "hash-mismatch" }

// addRun adds an answer as of another run of r's key that booked so much later.
func addRun(run *history.Run, r history.Request, later time.Duration, replayed bool) {
	var receipt history.Row
	if err := json.Unmarshal(r.Body, &receipt); err != nil {
		panic(err) // the simulation has written it
	}
	receipt.ID, receipt.PaidAt = 1000, receipt.PaidAt+later.Microseconds()
	r = withReceipt(r, receipt)
	r.Sent, r.Ended, r.Replayed = r.Ended+1, r.Ended+2, replayed
	run.Requests = append(run.Requests, r)
}

// withReceipt returns r with an answer that shows row.
func withReceipt(r history.Request, row history.Row) history.Request {
	r.Body, _ = json.Marshal(row)
	return r
}
