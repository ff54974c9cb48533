package check_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/pgidem/pgidem/torture/check"
	"github.com/pgidem/pgidem/torture/history"
)

// twoRuns is a history in which a key ran twice: first at server 1 for a client
// that heard nothing of it, then at server 2, and was replayed in the end.
func twoRuns(mode string, faults ...history.Fault) history.Run {
	run := history.Run{Mode: mode, Faults: faults, Quiet: 8 * time.Second, Balances: map[int]int64{1: 10}}
	for id := range int64(2) {
		run.Rows = append(run.Rows, history.Row{ID: id + 1, Tenant: "t", Key: "k", Account: 1, Amount: 5})
	}
	run.Requests = []history.Request{
		{ID: 1, Server: 1, Sent: time.Second, Ended: 2 * time.Second, Failure: "EOF"},
		{ID: 2, Server: 2, Sent: 6 * time.Second, Ended: 7 * time.Second},
		{ID: 3, Server: 1, Sent: 8 * time.Second, Ended: 9 * time.Second, Replayed: true},
	}
	for i := range run.Requests {
		r := &run.Requests[i]
		r.Tenant, r.Key, r.Account, r.Amount = "t", "k", 1, 5
		if r.ID > 1 {
			pay(r, 2)
		}
	}
	return run
}

// pay makes r an answer that confirms the row of that number.
func pay(r *history.Request, row int64) {
	r.Answered, r.Status = true, http.StatusCreated
	r.Header = http.Header{history.OwnerHeader: {history.Owner(r.Tenant, r.Key)}}
	r.Body, _ = json.Marshal(history.Row{ID: row, Tenant: r.Tenant, Key: r.Key, Account: r.Account, Amount: r.Amount})
}

func TestSecondRunUnderALeaseNeedsAFaultThere(t *testing.T) {
	t.Parallel()
	kill := history.Fault{Kind: "kill", Server: 1, At: 1500 * time.Millisecond}
	elsewhere, long, late, early, missed := kill, kill, kill, kill, kill
	missed.Missed = true
	elsewhere.Server = 3
	long.At, long.Lasted = 0, 10*time.Second
	early.At = -5 * time.Second
	late.At = 7500 * time.Millisecond
	for name, c := range map[string]struct {
		run      history.Run
		excused  bool
		violated check.Rule
	}{
		"Killed":             {twoRuns(history.Leased, kill), true, ""},
		"KilledInRedis":      {twoRuns(history.Redis, kill), true, ""},
		"Frozen":             {twoRuns(history.Leased, long), true, ""},
		"NoFault":            {twoRuns(history.Leased), false, check.DuplicateRow},
		"FaultThatMetNobody": {twoRuns(history.Leased, missed), false, check.DuplicateRow},
		"FaultElsewhere":     {twoRuns(history.Leased, elsewhere), false, check.DuplicateRow},
		"FaultAfterwards":    {twoRuns(history.Leased, late), false, check.DuplicateRow},
		"FaultLongBefore":    {twoRuns(history.Leased, early), false, check.DuplicateRow},
		"InATransaction":     {twoRuns(history.Transactional, kill), false, check.DuplicateRow},
		"AnsweredByItself":   {answeredBy(twoRuns(history.Leased), 1, false), false, check.RanTwice},
		"OtherReplay":        {answeredBy(twoRuns(history.Leased, kill), 1, true), false, check.DifferentAnswers},
	} {
		v := check.Check(c.run, check.Limits{})
		reported := len(v.Reports) == 1 && v.Reports[0].Rule == check.SecondRun
		if reported != c.excused || v.OK() != (c.violated == "") || !v.OK() && !v.Broke(c.violated) {
			t.Errorf("%s: want excused %t, violated %q: %s", name, c.excused, c.violated, printed(t, c.run, v))
		}
	}
}

// answeredBy makes the first request an answer of its own, or a replay of it.
func answeredBy(run history.Run, row int64, replayed bool) history.Run {
	r := &run.Requests[0]
	pay(r, row)
	r.Replayed = replayed
	return run
}

func TestAnswerUnderALeaseMayNeverHaveBeenRecorded(t *testing.T) {
	t.Parallel()
	run := answeredBy(twoRuns(history.Leased, history.Fault{Server: 1, Lasted: 3 * time.Second}), 1, false)
	if v := check.Check(run, check.Limits{}); !v.OK() || len(v.Reports) != 1 {
		t.Error(printed(t, run, v))
	}
}

func TestThreeRunsNeedTwoFaults(t *testing.T) {
	t.Parallel()
	run := twoRuns(history.Leased, history.Fault{Server: 1, Lasted: 2 * time.Second})
	run.Rows = append(run.Rows, history.Row{ID: 3, Tenant: "t", Key: "k", Account: 1, Amount: 5})
	run.Balances[1] += 5
	if v := check.Check(run, check.Limits{}); !v.Broke(check.DuplicateRow) {
		t.Error(printed(t, run, v))
	}
}
