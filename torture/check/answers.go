package check

import (
	"fmt"
	"time"

	"github.com/pgidem/pgidem/torture/history"
)

// checkAnswers compares the key's answers with each other and with the key.
func (k *key) checkAnswers() (found []Finding) {
	for _, a := range k.requests {
		if a.effect == unexpected && !k.explainsMismatch(a) {
			found = append(found, k.finding(UnexpectedAnswer, fmt.Sprintf("%d %s", a.Status, a.Problem), a))
		}
		if told := owner(a.Header); a.effect == final && told != history.Owner(k.tenant, k.name) {
			found = append(found, k.finding(ForeignAnswer, fmt.Sprintf("the answer is for %q", told), a))
		}
	}
	return append(found, k.checkSame()...)
}

// explainsMismatch tells whether a is a refusal because its key was used for
// another request, and there is one.
func (k *key) explainsMismatch(a asked) bool {
	if a.Problem != "hash-mismatch" {
		return false
	}
	others := k.where(func(b asked) bool { return b.Account != a.Account || b.Amount != a.Amount })
	return len(others) > 0
}

// checkSame finds the first answer that differs from the one before. Under a
// lease a run's own answer may be delivered and never be recorded, so there the
// replays are compared, which come from the record.
func (k *key) checkSame() []Finding {
	same := k.where(func(a asked) bool { return a.effect == final && (a.Replayed || k.transactional()) })
	for i := 1; i < len(same); i++ {
		if same[i].digest != same[0].digest {
			return []Finding{k.finding(DifferentAnswers, "answers differ", same[0], same[i])}
		}
	}
	return nil
}

// checkEnd wants a final answer after the last fault, where the run has such an
// end: a record that was there and is gone is found here, too, since then the
// last answer is a run of its own.
func (k *key) checkEnd(quiet time.Duration) []Finding {
	answered := k.where(func(a asked) bool { return a.effect == final && a.Sent >= quiet })
	if len(answered) > 0 || len(k.requests) == 0 {
		return nil
	}
	return []Finding{k.finding(LostKey, "no final answer after the last fault", k.requests...)}
}
