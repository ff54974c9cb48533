package check

import (
	"fmt"
	"time"

	"github.com/pgidem/pgidem/torture/history"
)

// checkAnswers compares the key's answers with each other and with the key.
func (k *key) checkAnswers(slack time.Duration) (found []Finding) {
	for _, a := range k.requests {
		if a.effect == unexpected || a.effect == mismatched && !k.explainsMismatch(a) || a.effect == expired && !k.remembered {
			found = append(found, k.finding(UnexpectedAnswer, fmt.Sprintf("%d %s", a.Status, a.Problem), a))
		}
		if a.effect != final {
			continue
		}
		if told := owner(a.Header); told != history.Owner(k.tenant, k.name) {
			found = append(found, k.finding(ForeignAnswer, fmt.Sprintf("the answer is for %q", told), a))
		}
		if !asksFor(a, a.receipt) {
			found = append(found, k.finding(ForeignAnswer, fmt.Sprintf("the answer is to another request: %+v", a.receipt), a))
		}
	}
	return append(found, k.checkSame(slack)...)
}

// explainsMismatch tells whether a is a refusal because its key was used for
// another request, and somebody had sent one.
func (k *key) explainsMismatch(a asked) bool {
	return len(k.where(func(b asked) bool { return others(a, b) && b.Sent < a.Ended })) > 0
}

// others tells whether a and b ask for different things.
func others(a, b asked) bool { return a.Account != b.Account || a.Amount != b.Amount }

// checkSame finds the first record that differs from the one before although
// that one still lived.
func (k *key) checkSame(slack time.Duration) []Finding {
	records := k.records()
	for i := 1; i < len(records); i++ {
		one, other := records[i-1], records[i]
		if k.tooSoon(one.paidAt, other.paidAt, slack) {
			return []Finding{k.finding(DifferentAnswers, "answers differ", one.answers[0], other.answers[0])}
		}
	}
	return nil
}

// checkEnd wants a last word after the last fault, where the run has such an end: a record that was there and is gone is found here, too, since then the
// last answer is a run of its own.
func (k *key) checkEnd(quiet time.Duration) []Finding {
	answered := k.where(func(a asked) bool { return a.lastWord() && a.Sent >= quiet })
	if len(answered) > 0 || len(k.requests) == 0 {
		return nil
	}
	return []Finding{k.finding(LostKey, "no final answer after the last fault", k.requests...)}
}
