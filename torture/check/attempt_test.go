package check_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/pgidem/pgidem/torture/check"
	"github.com/pgidem/pgidem/torture/history"
)

// A request is refused for the sake of an attempt that is undone; another one
// takes its place, and the first is answered from its record.
func TestMismatchWithAnAttemptThatWasUndone(t *testing.T) {
	t.Parallel()
	for mode, ok := range map[string]bool{history.Transactional: true, history.Leased: false} {
		run := twoRuns(mode)
		run.Rows, run.Balances[1] = run.Rows[1:], 5
		first, refused, second := &run.Requests[0], &run.Requests[1], &run.Requests[2]
		first.Sent, first.Ended, first.Failure, first.Replayed = time.Second, 7*time.Second, "", true
		pay(first, 2)
		refused.Sent, refused.Ended, refused.Amount = 2*time.Second, 3*time.Second, 9
		refused.Status, refused.Problem, refused.Body = http.StatusUnprocessableEntity, "hash-mismatch", nil
		second.Sent, second.Ended, second.Replayed = 4*time.Second, 6*time.Second, false
		if v := check.Check(run, check.Limits{}); v.Broke(check.NotLinearizable) == ok {
			t.Errorf("%s: %s", mode, printed(t, run, v))
		}
	}
}
