package check

import (
	"fmt"
	"slices"
	"time"

	"github.com/pgidem/pgidem/torture/history"
)

// checkRows compares the key's rows with what its clients asked for and were
// told. How many there may be is judged with the runs.
func (k *key) checkRows(slack time.Duration) (found []Finding) {
	for _, row := range k.rows {
		if !slices.ContainsFunc(k.requests, func(a asked) bool { return asksFor(a, row) }) {
			found = append(found, k.finding(StrayRow, fmt.Sprintf("nobody asked for row %d: %+v", row.ID, row)))
		}
	}
	if len(k.rows) > 0 && len(k.mayHavePaid()) == 0 {
		found = append(found, k.finding(StrayRow, "every request was told that nothing happened", k.requests...))
	}
	for _, a := range k.finals() {
		found = append(found, k.checkRowOf(a, slack)...)
	}
	return found
}

func asksFor(a asked, row history.Row) bool {
	return a.Account == row.Account && a.Amount == row.Amount
}

// mayHavePaid are the requests whose answers allow that they have left a row.
func (k *key) mayHavePaid() []asked {
	return k.where(func(a asked) bool {
		switch a.effect {
		case unknown:
			return true
		case final:
			return paid(a.Request)
		case discarded:
			return !k.transactional()
		}
		return false
	})
}

// checkRowOf checks what a final answer says of the ledger.
func (k *key) checkRowOf(a asked, slack time.Duration) []Finding {
	receipt := a.receipt
	named := slices.IndexFunc(k.rows, func(row history.Row) bool { return row.ID == receipt.ID })
	switch {
	case !paid(a.Request) && k.transactional() && k.paidBeside(receipt, slack):
		return []Finding{k.finding(RowOfRefusal, fmt.Sprintf("refused for good by %d, and yet paid", a.Status), a)}
	case !paid(a.Request):
		return nil
	case receipt.ID == 0:
		return []Finding{k.finding(WrongRow, fmt.Sprintf("the answer names no payment: %.80q", a.Body), a)}
	case named < 0:
		return []Finding{k.finding(MissingRow, fmt.Sprintf("row %d was confirmed and is not the key's in the ledger", receipt.ID), a)}
	case receipt != k.rows[named] || !asksFor(a, receipt):
		return []Finding{k.finding(WrongRow, fmt.Sprintf("asked for %d of account %d, told %+v, got %+v", a.Amount, a.Account, receipt, k.rows[named]), a)}
	}
	return nil
}

// paidBeside tells whether a payment was made while the record of a refusal
// lived, or the other way around.
func (k *key) paidBeside(refusal history.Row, slack time.Duration) bool {
	return slices.ContainsFunc(k.rows, func(row history.Row) bool {
		return k.tooSoon(min(row.PaidAt, refusal.PaidAt), max(row.PaidAt, refusal.PaidAt), slack)
	})
}
