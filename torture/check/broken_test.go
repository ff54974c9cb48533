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
}

var everywhere = []breakage{
	{"NothingSent", check.EmptyRun, func(run *history.Run) bool {
		run.Requests, run.Rows = nil, nil
		return true
	}},
	{"RowTwice", check.DuplicateRow, func(run *history.Run) bool {
		return withRow(run, func(row *history.Row) {
			again := *row
			again.ID = 1000
			run.Rows = append(run.Rows, again)
			run.Balances[row.Account] += row.Amount
			run.Faults = nil
		})
	}},
	{"AnswerOfItsOwnTwice", check.RanTwice, func(run *history.Run) bool {
		run.Faults = nil
		return onRequest(run, isReplay, func(r *history.Request) {
			fresh := *r
			fresh.Replayed = false
			run.Requests = append(run.Requests, fresh, fresh)
		})
	}},
	{"RowGone", check.MissingRow, func(run *history.Run) bool {
		return withRow(run, func(row *history.Row) {
			id := row.ID
			run.Balances[row.Account] -= row.Amount
			run.Rows = slices.DeleteFunc(run.Rows, func(row history.Row) bool { return row.ID == id })
		})
	}},
	{"RowOfAnotherAmount", check.WrongRow, func(run *history.Run) bool {
		return withRow(run, func(row *history.Row) { row.Amount++ })
	}},
	{"AnswerNamesNoPayment", check.WrongRow, func(run *history.Run) bool {
		return onRequest(run, isPayment, func(r *history.Request) { r.Body = []byte(`{"paid":true}`) })
	}},
	{"RequestOfAnotherAmount", check.WrongRow, func(run *history.Run) bool {
		return onRequest(run, isPayment, func(r *history.Request) { r.Amount++ })
	}},
	{"RowOfAKeyNobodySent", check.StrayRow, func(run *history.Run) bool {
		run.Rows = append(run.Rows, history.Row{ID: 1000, Tenant: "t", Key: "nobody", Amount: 1})
		run.Balances[0]++
		return true
	}},
	{"RowOfAKeyThatIsToldOfNothing", check.StrayRow, func(run *history.Run) bool {
		return withRow(run, func(row *history.Row) {
			eachOf(run, *row, func(r *history.Request) {
				r.Answered = true
				problem(r, 503, "store-unavailable")
			})
		})
	}},
	{"ReplayOfOtherBytes", check.DifferentAnswers, func(run *history.Run) bool {
		return onRequest(run, isReplay, func(r *history.Request) {
			other := *r
			other.Body = append(slices.Clone(r.Body), ' ')
			run.Requests = append(run.Requests, other)
		})
	}},
	{"ReplayWithoutAHeader", check.DifferentAnswers, func(run *history.Run) bool {
		return onRequest(run, isReplay, func(r *history.Request) {
			other := *r
			other.Header = r.Header.Clone()
			other.Header.Del("Location")
			run.Requests = append(run.Requests, other)
		})
	}},
	{"ReplayOfAnotherHeader", check.DifferentAnswers, func(run *history.Run) bool {
		return onRequest(run, isReplay, func(r *history.Request) {
			other := *r
			other.Header = r.Header.Clone()
			other.Header.Set("Location", strings.Replace(r.Header.Get("Location"), "k", "K", 1))
			run.Requests = append(run.Requests, other)
		})
	}},
	{"ReplayOfAnotherStatus", check.DifferentAnswers, func(run *history.Run) bool {
		return onRequest(run, isReplay, func(r *history.Request) {
			other := *r
			other.Status++
			run.Requests = append(run.Requests, other)
		})
	}},
	{"AnswerOfAnotherTenant", check.ForeignAnswer, func(run *history.Run) bool {
		return onRequest(run, isFinal, func(r *history.Request) {
			r.Header = r.Header.Clone()
			r.Header.Set(history.OwnerHeader, history.Owner("another", r.Key))
		})
	}},
	{"AnswerForNobody", check.ForeignAnswer, func(run *history.Run) bool {
		return onRequest(run, isFinal, func(r *history.Request) { r.Header = nil })
	}},
	{"MismatchWithItself", check.UnexpectedAnswer, func(run *history.Run) bool {
		return onRequest(run, isFinal, func(r *history.Request) { problem(r, 422, "hash-mismatch") })
	}},
	{"RecordUnreadable", check.UnexpectedAnswer, func(run *history.Run) bool {
		return onRequest(run, isFinal, func(r *history.Request) { problem(r, 500, "record-unreadable") })
	}},
	{"BalanceChanged", check.WrongMoney, func(run *history.Run) bool {
		run.Balances[1]--
		return true
	}},
	{"BalanceUnknown", check.WrongMoney, func(run *history.Run) bool {
		delete(run.Balances, run.Rows[0].Account)
		return true
	}},
	{"NoAnswerAtTheEnd", check.LostKey, func(run *history.Run) bool {
		return onRequest(run, isLast, func(r *history.Request) {
			problem(r, 503, "store-unavailable")
		})
	}},
	{"NobodyAskedAtTheEnd", check.LostKey, func(run *history.Run) bool {
		run.Requests = slices.DeleteFunc(run.Requests, func(r history.Request) bool { return isLast(r) && r.Key == "key-1" })
		return true
	}},
	{"RefusedForLong", check.UnusableKey, func(run *history.Run) bool {
		refused := run.Requests[0]
		refused.Answered = true
		problem(&refused, 503, "store-unavailable")
		for at := -time.Minute; at < 0; at += time.Second {
			refused.Sent, refused.Ended = at, at+time.Millisecond
			run.Requests = append(run.Requests, refused)
		}
		return true
	}},
	{"GoroutineLeft", check.Leftover, func(run *history.Run) bool { run.Leftovers.Goroutines = 1; return true }},
	{"ConnectionLeft", check.Leftover, func(run *history.Run) bool { run.Leftovers.Connections = 1; return true }},
	{"LockLeft", check.Leftover, func(run *history.Run) bool { run.Leftovers.AdvisoryLocks = 1; return true }},
	{"ReservationLeft", check.Leftover, func(run *history.Run) bool { run.Leftovers.Reservations = 1; return true }},
	{"ReplayBeforeAnybodyAsked", check.NotLinearizable, func(run *history.Run) bool {
		return onRequest(run, isReplay, func(r *history.Request) {
			early := *r
			early.Sent, early.Ended = -2, -1
			run.Requests = append(run.Requests, early)
		})
	}},
	{"InFlightAfterAReplay", check.NotLinearizable, func(run *history.Run) bool {
		return onRequest(run, isReplay, func(r *history.Request) { addLater(run, *r, 409, "in-flight") })
	}},
	{"RanAfterAReplay", check.NotLinearizable, func(run *history.Run) bool {
		return onRequest(run, isReplay, func(r *history.Request) { addLater(run, *r, 500, "") })
	}},
}

// inTransactions are wrong only where a transaction is promised.
var inTransactions = []breakage{
	{"RefusedForGoodAndPaid", check.RowOfRefusal, func(run *history.Run) bool {
		return onRequest(run, func(r history.Request) bool { return r.Status == 402 }, func(r *history.Request) {
			run.Rows = append(run.Rows, history.Row{ID: 1000, Tenant: r.Tenant, Key: r.Key, Account: r.Account, Amount: r.Amount})
			run.Balances[r.Account] += r.Amount
		})
	}},
	{"RowTwiceBesideAFault", check.DuplicateRow, func(run *history.Run) bool {
		return withRow(run, func(row *history.Row) {
			again := *row
			again.ID = 1000
			run.Rows = append(run.Rows, again)
			run.Balances[row.Account] += row.Amount
		})
	}},
	{"InFlightAfterItsAnswer", check.NotLinearizable, func(run *history.Run) bool {
		return onRequest(run, isFinal, func(r *history.Request) { addLater(run, *r, 409, "in-flight") })
	}},
	{"AnswerOfItsOwnAfterAReplay", check.NotLinearizable, func(run *history.Run) bool {
		return onRequest(run, isReplay, func(r *history.Request) {
			fresh := *r
			fresh.Sent, fresh.Ended, fresh.Replayed = r.Ended+1, r.Ended+2, false
			run.Requests = append(run.Requests, fresh)
		})
	}},
	{"LeaseLost", check.UnexpectedAnswer, func(run *history.Run) bool {
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
