package check_test

import (
	"slices"
	"strings"
	"time"

	"github.com/pgidem/pgidem/torture/check"
	"github.com/pgidem/pgidem/torture/history"
)

// breakage makes a correct history wrong in one place. It tells whether the
// history had such a place.
type breakage struct {
	name  string
	rule  check.Rule
	apply func(*history.Run) bool
	keys  kind // that the history has
}

var everywhere = []breakage{
	{name: "NothingSent", rule: check.EmptyRun, apply: func(run *history.Run) bool {
		run.Requests, run.Rows = nil, nil
		return true
	}},
	{name: "RowTwice", rule: check.DuplicateRow, apply: func(run *history.Run) bool {
		return withRow(run, func(row *history.Row) {
			again := *row
			again.ID = 1000
			run.Rows = append(run.Rows, again)
			run.Balances[row.Account] += row.Amount
			run.Faults = nil
		})
	}},
	{name: "AnswerOfItsOwnTwice", rule: check.RanTwice, apply: func(run *history.Run) bool {
		run.Faults = nil
		return onRequest(run, isReplay, func(r *history.Request) {
			fresh := *r
			fresh.Replayed = false
			run.Requests = append(run.Requests, fresh, fresh)
		})
	}},
	{name: "RowGone", rule: check.MissingRow, apply: func(run *history.Run) bool {
		return withRow(run, func(row *history.Row) {
			id := row.ID
			run.Balances[row.Account] -= row.Amount
			run.Rows = slices.DeleteFunc(run.Rows, func(row history.Row) bool { return row.ID == id })
		})
	}},
	{name: "RowOfAnotherAmount", rule: check.WrongRow, apply: func(run *history.Run) bool {
		return withRow(run, func(row *history.Row) { row.Amount++ })
	}},
	{name: "AnswerNamesNoPayment", rule: check.WrongRow, apply: func(run *history.Run) bool {
		return onRequest(run, isPayment, func(r *history.Request) { r.Body = []byte(`{"paid":true}`) })
	}},
	{name: "RequestOfAnotherAmount", rule: check.WrongRow, apply: func(run *history.Run) bool {
		return onRequest(run, isPayment, func(r *history.Request) { r.Amount++ })
	}},
	{name: "RequestOfAnotherAccount", rule: check.WrongRow, apply: func(run *history.Run) bool {
		return onRequest(run, isPayment, func(r *history.Request) { r.Account++ })
	}},
	{name: "RowThatNobodyAskedForBesideThePayment", rule: check.StrayRow, apply: func(run *history.Run) bool {
		return withRow(run, func(row *history.Row) {
			stray := *row
			stray.ID, stray.Amount = 1000, row.Amount+1
			run.Rows = append(run.Rows, stray)
			run.Balances[row.Account] += stray.Amount
		})
	}},
	{name: "RowOfAKeyNobodySent", rule: check.StrayRow, apply: func(run *history.Run) bool {
		run.Rows = append(run.Rows, history.Row{ID: 1000, Tenant: "t", Key: "nobody", Amount: 1})
		run.Balances[0]++
		return true
	}},
	{name: "RowOfAKeyThatIsToldOfNothing", rule: check.StrayRow, apply: func(run *history.Run) bool {
		return withRow(run, func(row *history.Row) {
			eachOf(run, *row, func(r *history.Request) {
				r.Answered = true
				problem(r, 503, "store-unavailable")
			})
		})
	}},
	{name: "ReplayOfOtherBytes", rule: check.DifferentAnswers, apply: func(run *history.Run) bool {
		return onRequest(run, isReplay, func(r *history.Request) {
			other := *r
			other.Body = append(slices.Clone(r.Body), ' ')
			run.Requests = append(run.Requests, other)
		})
	}},
	{name: "ReplayWithoutAHeader", rule: check.DifferentAnswers, apply: func(run *history.Run) bool {
		return onRequest(run, isReplay, func(r *history.Request) {
			other := *r
			other.Header = r.Header.Clone()
			other.Header.Del("Location")
			run.Requests = append(run.Requests, other)
		})
	}},
	{name: "ReplayOfAnotherHeader", rule: check.DifferentAnswers, apply: func(run *history.Run) bool {
		return onRequest(run, isReplay, func(r *history.Request) {
			other := *r
			other.Header = r.Header.Clone()
			other.Header.Set("Location", strings.Replace(r.Header.Get("Location"), "k", "K", 1))
			run.Requests = append(run.Requests, other)
		})
	}},
	{name: "ReplayOfAnotherStatus", rule: check.DifferentAnswers, apply: func(run *history.Run) bool {
		return onRequest(run, isReplay, func(r *history.Request) {
			other := *r
			other.Status++
			run.Requests = append(run.Requests, other)
		})
	}},
	{name: "AnswerOfAnotherTenant", rule: check.ForeignAnswer, apply: func(run *history.Run) bool {
		return onRequest(run, isFinal, func(r *history.Request) {
			r.Header = r.Header.Clone()
			r.Header.Set(history.OwnerHeader, history.Owner("another", r.Key))
		})
	}},
	{name: "AnswerForNobody", rule: check.ForeignAnswer, apply: func(run *history.Run) bool {
		return onRequest(run, isFinal, func(r *history.Request) { r.Header = nil })
	}},
	{name: "MismatchWithItself", rule: check.UnexpectedAnswer, apply: func(run *history.Run) bool {
		return onRequest(run, isFinal, func(r *history.Request) { problem(r, 422, "hash-mismatch") })
	}},
	{name: "RecordUnreadable", rule: check.UnexpectedAnswer, apply: func(run *history.Run) bool {
		return onRequest(run, isFinal, func(r *history.Request) { problem(r, 500, "record-unreadable") })
	}},
	{name: "BalanceChanged", rule: check.WrongMoney, apply: func(run *history.Run) bool {
		run.Balances[1]--
		return true
	}},
	{name: "BalanceUnknown", rule: check.WrongMoney, apply: func(run *history.Run) bool {
		delete(run.Balances, run.Rows[0].Account)
		return true
	}},
	{name: "NoAnswerAtTheEnd", rule: check.LostKey, apply: func(run *history.Run) bool {
		return onRequest(run, isLast, func(r *history.Request) {
			problem(r, 503, "store-unavailable")
		})
	}},
	{name: "NobodyAskedAtTheEnd", rule: check.LostKey, apply: func(run *history.Run) bool {
		run.Requests = slices.DeleteFunc(run.Requests, func(r history.Request) bool { return isLast(r) && r.Key == "key-1" })
		return true
	}},
	{name: "RefusedForLong", rule: check.UnusableKey, apply: func(run *history.Run) bool {
		refused := run.Requests[0]
		refused.Answered = true
		problem(&refused, 503, "store-unavailable")
		for at := -time.Minute; at < 0; at += time.Second {
			refused.Sent, refused.Ended = at, at+time.Millisecond
			run.Requests = append(run.Requests, refused)
		}
		return true
	}},
	{name: "ClocksThatDisagree", rule: check.Undecided, apply: func(run *history.Run) bool { run.Drift = time.Second; return true }},
	{name: "GoroutineLeft", rule: check.Leftover, apply: func(run *history.Run) bool { run.Leftovers.Goroutines = 1; return true }},
	{name: "ConnectionLeft", rule: check.Leftover, apply: func(run *history.Run) bool { run.Leftovers.Connections = 1; return true }},
	{name: "LockLeft", rule: check.Leftover, apply: func(run *history.Run) bool { run.Leftovers.AdvisoryLocks = 1; return true }},
	{name: "ExpiredRecordLeft", rule: check.Leftover, apply: func(run *history.Run) bool { run.Leftovers.Expired = 1; return true }},
	{name: "ReservationLeft", rule: check.Leftover, apply: func(run *history.Run) bool { run.Leftovers.Reservations = 1; return true }},
	{name: "ReplayBeforeAnybodyAsked", rule: check.NotLinearizable, apply: func(run *history.Run) bool {
		return onRequest(run, isReplay, func(r *history.Request) {
			early := *r
			early.Sent, early.Ended = -2, -1
			run.Requests = append(run.Requests, early)
		})
	}},
	{name: "InFlightAfterAReplay", rule: check.NotLinearizable, apply: func(run *history.Run) bool {
		return onRequest(run, isReplay, func(r *history.Request) { addLater(run, *r, 409, "in-flight") })
	}},
	{name: "RanAfterAReplay", rule: check.NotLinearizable, apply: func(run *history.Run) bool {
		return onRequest(run, isReplay, func(r *history.Request) { addLater(run, *r, 500, "") })
	}},
}

// inTransactions are wrong only where a transaction is promised.
var inTransactions = []breakage{
	{name: "RefusedForGoodAndPaid", rule: check.RowOfRefusal, apply: func(run *history.Run) bool {
		return onRequest(run, func(r history.Request) bool { return r.Status == 402 }, func(r *history.Request) {
			run.Rows = append(run.Rows, history.Row{ID: 1000, Tenant: r.Tenant, Key: r.Key, Account: r.Account, Amount: r.Amount})
			run.Balances[r.Account] += r.Amount
		})
	}},
	{name: "RowTwiceBesideAFault", rule: check.DuplicateRow, apply: func(run *history.Run) bool {
		return withRow(run, func(row *history.Row) {
			again := *row
			again.ID = 1000
			run.Rows = append(run.Rows, again)
			run.Balances[row.Account] += row.Amount
		})
	}},
	{name: "InFlightAfterItsAnswer", rule: check.NotLinearizable, apply: func(run *history.Run) bool {
		return onRequest(run, isFinal, func(r *history.Request) { addLater(run, *r, 409, "in-flight") })
	}},
	{name: "AnswerOfItsOwnAfterAReplay", rule: check.NotLinearizable, apply: func(run *history.Run) bool {
		return onRequest(run, isReplay, func(r *history.Request) {
			fresh := *r
			fresh.Sent, fresh.Ended, fresh.Replayed = r.Ended+1, r.Ended+2, false
			run.Requests = append(run.Requests, fresh)
		})
	}},
	{name: "LeaseLost", rule: check.UnexpectedAnswer, apply: func(run *history.Run) bool {
		return onRequest(run, isFinal, func(r *history.Request) { problem(r, 503, "lease-lost") })
	}},
}

func isFinal(r history.Request) bool   { return r.Status == 201 || r.Status == 402 }
func isPayment(r history.Request) bool { return r.Status == 201 }
func isReplay(r history.Request) bool  { return r.Replayed }
func isLast(r history.Request) bool    { return r.Sent >= quiet }

func onRequest(run *history.Run, match func(history.Request) bool, apply func(*history.Request)) bool {
	i := slices.IndexFunc(run.Requests, match)
	if i < 0 {
		return false
	}
	apply(&run.Requests[i])
	return true
}

// withRow applies to the first row whose payment a client was told of.
func withRow(run *history.Run, apply func(*history.Row)) bool {
	for i := range run.Rows {
		told := false
		eachOf(run, run.Rows[i], func(r *history.Request) { told = told || r.Status == 201 })
		if told {
			apply(&run.Rows[i])
			return true
		}
	}
	return false
}

func eachOf(run *history.Run, row history.Row, apply func(*history.Request)) {
	for i := range run.Requests {
		if r := &run.Requests[i]; r.Tenant == row.Tenant && r.Key == row.Key {
			apply(r)
		}
	}
}

// addLater adds a request that is sent after r ended.
func addLater(run *history.Run, r history.Request, status int, name string) {
	r.Sent, r.Ended = r.Ended+1, r.Ended+2
	problem(&r, status, name)
	run.Requests = append(run.Requests, r)
}
