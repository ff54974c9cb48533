package check

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/pgidem/pgidem/torture/history"
)

// record is one record of a key, as the answers show it that come from it.
type record struct {
	response response
	paidAt   int64 // when its run booked, by the database's clock
	answers  []asked
}

// response is what a record holds, and of which request.
type response struct {
	digest  string
	account int
	amount  int64
	gone    bool // nothing but that there was one is known any more
}

// faded is what is left of r.
func (r response) faded() response {
	return response{account: r.account, amount: r.amount, gone: true}
}

func responseTo(a asked) response {
	return response{digest: a.digest, account: a.receipt.Account, amount: a.receipt.Amount}
}

// records are the key's records in the order of their runs. Under a lease a
// run's own answer may be delivered and never be recorded, so there it is the
// replays that show them.
func (k *key) records() (records []*record) {
	byResponse := make(map[response]*record)
	for _, a := range k.finals() {
		if !a.Replayed && !k.transactional() {
			continue
		}
		id := responseTo(a)
		if byResponse[id] == nil {
			byResponse[id] = &record{response: id, paidAt: a.receipt.PaidAt}
			records = append(records, byResponse[id])
		}
		byResponse[id].answers = append(byResponse[id].answers, a)
	}
	records = append(records, k.unseen(records)...)
	slices.SortStableFunc(records, func(a, b *record) int { return cmp.Compare(a.paidAt, b.paidAt) })
	return records
}

// unseen is the record of which nobody knows but those who were told that it has
// expired, if there must be one beside the given ones.
func (k *key) unseen(seen []*record) []*record {
	late := k.where(func(a asked) bool { return a.effect == expired })
	if len(late) == 0 {
		return nil
	}
	r := &record{response: response{account: late[0].Account, amount: late[0].Amount}, answers: late}
	from, ok := k.writtenFrom(r)
	if !ok || slices.ContainsFunc(seen, func(s *record) bool { return s.response.faded() == r.response.faded() }) {
		return nil
	}
	r.paidAt = k.clock + from.Microseconds()
	return []*record{r}
}

// firstSeen is when the first answer from r was there. The record was, before.
func (r *record) firstSeen() time.Duration {
	first := time.Duration(math.MaxInt64)
	for _, a := range r.answers {
		first = min(first, a.Ended)
	}
	return first
}

// tooSoon tells whether a run that booked at one moment must have kept the run
// that booked at the other, later one from happening. Its record was written
// after its booking and expires a TTL later, and who runs next has seen it
// expired before it books: all of that by one clock, the database's, to which the
// application's do not matter. Only Redis has a clock of its own, which may
// differ by slack. A key that is remembered must never run again.
func (k *key) tooSoon(one, other int64, slack time.Duration) bool {
	if k.mode != history.Redis {
		slack = 0
	}
	return k.ttl == 0 || k.remembered || time.Duration(other-one)*time.Microsecond < k.ttl-slack
}

// mayExpireFrom is the first moment of the run at which r may expire.
func (k *key) mayExpireFrom(r *record, slack time.Duration) time.Duration {
	return time.Duration(r.paidAt-k.clock)*time.Microsecond + k.ttl - slack
}

// mustHaveExpired is the moment from which on nobody may see r: its TTL counts
// from its Commit, which came before the first answer.
func (k *key) mustHaveExpired(r *record, slack time.Duration) time.Duration {
	return r.firstSeen() + k.ttl + slack
}

// momentsOfRows are when the rows were booked.
func momentsOfRows(rows []history.Row) (moments []int64) {
	for _, row := range rows {
		moments = append(moments, row.PaidAt)
	}
	return moments
}

// momentsOfAnswers are when the answers' runs booked.
func momentsOfAnswers(answers []asked) (moments []int64) {
	for _, a := range answers {
		moments = append(moments, a.receipt.PaidAt)
	}
	return moments
}

// early counts the runs that came too soon after the one before them.
func (k *key) early(moments []int64, slack time.Duration) (n int) {
	slices.Sort(moments)
	for i := 1; i < len(moments); i++ {
		if k.tooSoon(moments[i-1], moments[i], slack) {
			n++
		}
	}
	return n
}
