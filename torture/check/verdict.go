// Package check judges the history of a torture run: whether what the clients
// were told, what stands in the ledger and what was left behind agree with what
// the store promises. It knows nothing of how a store works.
package check

import (
	"cmp"
	"slices"
	"time"

	"github.com/pgidem/pgidem/torture/history"
)

// Rule names what a Finding breaks.
type Rule string

// The rules. Those about answers look at final ones only: an answer that a
// client takes as the last word on its key, as every 2xx.
const (
	// EmptyRun: a history that nobody tried to break proves nothing.
	EmptyRun Rule = "empty-run"
	// DuplicateRow: a key has paid more often than its store may let it: again
	// while the record of the last time lived.
	DuplicateRow Rule = "duplicate-row"
	// RanTwice: more than one answer of a key came from a run of its own while
	// one record lived.
	RanTwice Rule = "ran-twice"
	// MissingRow: an answer names a payment that is not in the ledger.
	MissingRow Rule = "missing-row"
	// WrongRow: the ledger has another amount, account or number than the
	// request or its answer.
	WrongRow Rule = "wrong-row"
	// StrayRow: a row that no request accounts for: nobody sent its key, or
	// every request with it was told that nothing happened.
	StrayRow Rule = "stray-row"
	// RowOfRefusal: a refusal that is final stands beside a payment.
	RowOfRefusal Rule = "row-of-refusal"
	// DifferentAnswers: two answers of a key, from the time of one record, differ
	// in status, body or header.
	DifferentAnswers Rule = "different-answers"
	// ForeignAnswer: an answer belongs to another key or tenant, or to another
	// request that came with the key.
	ForeignAnswer Rule = "foreign-answer"
	// UnexpectedAnswer: a problem that no fault can explain.
	UnexpectedAnswer Rule = "unexpected-answer"
	// WrongMoney: a balance is not its opening one plus the account's rows.
	WrongMoney Rule = "wrong-money"
	// LostKey: in the quiet end of the run nobody got an answer for the key.
	LostKey Rule = "lost-key"
	// UnusableKey: a key had no final answer for longer than the bound.
	UnusableKey Rule = "unusable-key"
	// Leftover: something was left behind.
	Leftover Rule = "leftover"
	// NotLinearizable: no order of a key's requests, and of the moments at which
	// its records expire, explains their answers.
	NotLinearizable Rule = "not-linearizable"
	// Undecided: the time ran out in which to find such an order, or the clocks
	// do not agree.
	Undecided Rule = "undecided"
	// SecondRun is no violation but a report: under a lease a key ran again,
	// and a fault explains it.
	SecondRun Rule = "second-run"
)

// Finding is one thing that is wrong with a key, or with the run if Key is
// empty.
type Finding struct {
	Rule     Rule
	Tenant   string
	Key      string
	Detail   string
	Requests []int64
	Rows     []int64
}

// Limits are the bounds that Check measures by. The zero value is useful.
type Limits struct {
	// MaxUnusable is how long a key may be without a final answer although it is
	// asked for. Defaults to 45 s: MaxHandlerTime, and what a fault takes.
	MaxUnusable time.Duration
	// MaxPause is how long clients may leave a key alone before the time in
	// between no longer counts as unusable. Defaults to 3 s.
	MaxPause time.Duration
	// Aftermath is how long after its end a fault still explains that a lease
	// was lost. Defaults to 3 s.
	Aftermath time.Duration
	// ClockError is by how much moments may be wrong that were read from
	// different clocks of one machine. Defaults to 100 ms.
	ClockError time.Duration
	// KeyTime bounds the search for a linearization of one key. Defaults to 5 s.
	KeyTime time.Duration
}

func (l Limits) withDefaults() Limits {
	l.MaxUnusable = cmp.Or(l.MaxUnusable, 45*time.Second)
	l.MaxPause = cmp.Or(l.MaxPause, 3*time.Second)
	l.Aftermath = cmp.Or(l.Aftermath, 3*time.Second)
	l.ClockError = cmp.Or(l.ClockError, 100*time.Millisecond)
	l.KeyTime = cmp.Or(l.KeyTime, 5*time.Second)
	return l
}

// Verdict is what Check found.
type Verdict struct {
	// Violations break a promise; Reports do not, but belong in the account.
	Violations []Finding
	Reports    []Finding
	Counts     Counts
}

// OK tells whether nothing was violated.
func (v Verdict) OK() bool { return len(v.Violations) == 0 }

// Broke tells whether rule was violated.
func (v Verdict) Broke(rule Rule) bool {
	return slices.ContainsFunc(v.Violations, func(f Finding) bool { return f.Rule == rule })
}

// Check judges run.
func Check(run history.Run, limits Limits) Verdict {
	limits = limits.withDefaults()
	v := Verdict{Counts: count(run)}
	v.violated(checkRun(run, limits)...)
	for _, k := range keysOf(run) {
		v.violated(k.checkRows(limits.ClockError)...)
		v.violated(k.checkAnswers(limits.ClockError)...)
		v.violated(k.checkEnd(run.Quiet)...)
		v.violated(k.checkOrder(limits)...)
		v.judgeRuns(k, run.Faults, limits)
		v.judgeStretch(k, limits)
	}
	return v
}

func (v *Verdict) violated(findings ...Finding) { v.Violations = append(v.Violations, findings...) }
