package check_test

import (
	"testing"
	"time"

	"github.com/pgidem/pgidem/torture/check"
	"github.com/pgidem/pgidem/torture/history"
)

// twoLives is a history in which a key ran twice, the second time so long after
// the first, by the database's clock.
func twoLives(mode string, apart time.Duration) history.Run {
	run := twoRuns(mode)
	for i := range run.Rows {
		run.Rows[i].PaidAt = (time.Second + time.Duration(i)*apart).Microseconds()
	}
	for i := range run.Requests {
		r := &run.Requests[i]
		r.TTL = ttl
		if r.Answered {
			*r = withReceipt(*r, run.Rows[1])
		}
	}
	return run
}

// What happens while a record lives and what does after it is told apart by one
// clock, to the microsecond; Redis has another than the ledger.
func TestRunIsTooSoonUntilTheRecordHasExpired(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		mode  string
		apart time.Duration
		soon  bool
	}{
		{history.Transactional, ttl - time.Microsecond, true},
		{history.Transactional, ttl, false},
		{history.Leased, ttl - time.Microsecond, true},
		{history.Leased, ttl, false},
		{history.Redis, ttl - 101*time.Millisecond, true},
		{history.Redis, ttl - 99*time.Millisecond, false},
	} {
		run := twoLives(c.mode, c.apart)
		v := check.Check(run, check.Limits{})
		if v.Broke(check.DuplicateRow) != c.soon || (v.Counts.Again == 1) == c.soon {
			t.Errorf("%s, %v apart: %+v", c.mode, c.apart, v)
		}
	}
}

// A refusal that is final stands beside a payment only if one of them is of
// another record's time.
func TestExpiredRecordMayGiveWayToARefusal(t *testing.T) {
	t.Parallel()
	for apart, want := range map[time.Duration]bool{ttl / 2: true, ttl: false} {
		run := twoLives(history.Transactional, apart)
		run.Balances[1] -= run.Rows[1].Amount
		refused := run.Rows[1]
		run.Rows = run.Rows[:1]
		for i := range run.Requests {
			if r := &run.Requests[i]; r.Answered {
				*r = withReceipt(*r, refused)
				r.Status = 402
			}
		}
		if v := check.Check(run, check.Limits{}); v.Broke(check.RowOfRefusal) != want {
			t.Errorf("%v apart: %s", apart, printed(t, run, v))
		}
	}
}

// A request that was sent before all others may be the last one to run.
func TestRunOfALongRequestComesAfterTheExpiryOfALaterOne(t *testing.T) {
	t.Parallel()
	run := twoLives(history.Transactional, 2*ttl)
	long, short := run.Requests[1], run.Requests[2]
	long.Sent, long.Ended = 0, 9*time.Second
	short.Sent, short.Ended, short.Replayed = time.Second, 2*time.Second, false
	short = withReceipt(short, run.Rows[0])
	run.Quiet, run.Requests = 0, []history.Request{long, short}
	if v := check.Check(run, check.Limits{}); !v.OK() {
		t.Error(printed(t, run, v))
	}
}

// Who asks for an expired key that is remembered may meet somebody who is about to
// find that out, and be frozen at it.
func TestExpiredKeyMayBeInFlight(t *testing.T) {
	t.Parallel()
	met := 0
	for seed := range uint64(correctSeeds) {
		run := simulate(history.Transactional, seed, remembered)
		early := func(r history.Request) bool { return isExpired(r) && r.Sent < quiet }
		if !onRequest(&run, early, func(r *history.Request) { problem(r, 409, "in-flight") }) {
			continue
		}
		met++
		if v := check.Check(run, check.Limits{}); !v.OK() {
			t.Fatalf("seed %d: %s", seed, printed(t, run, v))
		}
	}
	if met == 0 {
		t.Error("nobody came too late")
	}
}
