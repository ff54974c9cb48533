package check_test

import (
	"testing"
	"time"

	"github.com/pgidem/pgidem/torture/check"
	"github.com/pgidem/pgidem/torture/history"
)

// asked is a request by its times in seconds; a negative end is that of a final
// answer.
type asked struct{ sent, ended int }

func seconds(n int) time.Duration { return time.Duration(n) * time.Second }

func TestLongestStretch(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		requests []asked
		want     int
	}{
		"AnsweredAtOnce":        {[]asked{{1, -2}}, 1},
		"RefusedThenAnswered":   {[]asked{{1, 2}, {3, 4}, {5, -6}}, 5},
		"NeverAnswered":         {[]asked{{1, 2}, {3, 4}}, 3},
		"AnsweredInBetween":     {[]asked{{1, 3}, {3, -4}, {5, 6}, {6, 7}}, 3},
		"NobodyAskedForLong":    {[]asked{{1, 3}, {20, 21}, {21, -22}}, 2},
		"OneWaitsOtherAnswered": {[]asked{{1, 30}, {2, -3}}, 2},
		"RefusedAfterAnswers":   {[]asked{{1, -2}, {3, 5}, {6, 9}}, 6},
	} {
		var run history.Run
		for _, a := range c.requests {
			r := history.Request{Sent: seconds(a.sent), Ended: seconds(a.ended)}
			if a.ended < 0 {
				r.Answered, r.Status, r.Ended = true, 201, -r.Ended
			}
			run.Requests = append(run.Requests, r)
		}
		v := check.Check(run, check.Limits{MaxUnusable: seconds(c.want) - 1})
		if got := v.Counts.Longest.Length; got != seconds(c.want) || !v.Broke(check.UnusableKey) {
			t.Errorf("%s: unusable for %v, want %d s", name, got, c.want)
		}
		if check.Check(run, check.Limits{MaxUnusable: seconds(c.want)}).Broke(check.UnusableKey) {
			t.Errorf("%s: %d s violate a bound of as many", name, c.want)
		}
	}
}

// A request that misuses the key is not one that the key must be usable for, and
// one that comes too late for its answer needs no other.
func TestRefusalForGoodIsNoStretch(t *testing.T) {
	t.Parallel()
	for name, status := range map[string]int{"hash-mismatch": 422, "key-expired": 409} {
		var run history.Run
		for at := range 60 {
			r := history.Request{Sent: seconds(at), Ended: seconds(at + 1), Answered: true, Status: 201}
			if at > 0 {
				r.Status, r.Problem = status, name
			}
			run.Requests = append(run.Requests, r)
		}
		if got := check.Check(run, check.Limits{}).Counts.Longest.Length; got != seconds(1) {
			t.Errorf("%s: unusable for %v", name, got)
		}
	}
}
