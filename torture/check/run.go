package check

import (
	"fmt"
	"maps"
	"slices"

	"github.com/pgidem/pgidem/torture/history"
)

// checkRun checks what is not about a single key.
func checkRun(run history.Run, limits Limits) []Finding {
	var found []Finding
	if len(run.Requests) == 0 {
		found = append(found, Finding{Rule: EmptyRun, Detail: "no request was sent"})
	}
	if run.Drift.Abs() > limits.ClockError/2 {
		detail := fmt.Sprintf("the database's clock went %v astray: what expired when is not known", run.Drift)
		found = append(found, Finding{Rule: Undecided, Detail: detail})
	}
	found = append(found, checkMoney(run)...)
	return append(found, checkLeftovers(run.Leftovers)...)
}

func checkMoney(run history.Run) (found []Finding) {
	want := make(map[int]int64)
	for account := range run.Balances {
		want[account] = run.Opening
	}
	for _, row := range run.Rows {
		if _, ok := want[row.Account]; !ok {
			want[row.Account] = run.Opening
		}
		want[row.Account] += row.Amount
	}
	for _, account := range slices.Sorted(maps.Keys(want)) {
		got, ok := run.Balances[account]
		if !ok || got != want[account] {
			detail := fmt.Sprintf("account %d has %d, its rows make %d", account, got, want[account])
			found = append(found, Finding{Rule: WrongMoney, Detail: detail})
		}
	}
	return found
}

func checkLeftovers(left history.Leftovers) (found []Finding) {
	for _, l := range []struct {
		count int
		what  string
	}{
		{left.Goroutines, "goroutines"},
		{left.Connections, "connections"},
		{left.AdvisoryLocks, "advisory locks"},
		{left.Reservations, "reservations"},
		{left.Expired, "expired records"},
	} {
		if l.count != 0 {
			found = append(found, Finding{Rule: Leftover, Detail: fmt.Sprintf("%d %s", l.count, l.what)})
		}
	}
	return found
}
