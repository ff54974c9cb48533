package check_test

import (
	"strings"
	"testing"

	"github.com/pgidem/pgidem/torture/check"
	"github.com/pgidem/pgidem/torture/history"
)

func TestFaultsThatMetNobodyArePrinted(t *testing.T) {
	t.Parallel()
	run := twoRuns(history.Transactional,
		history.Fault{Kind: "kill", Tries: 1}, history.Fault{Kind: "cut", Tries: 2}, history.Fault{Kind: "cut", Tries: 5, Missed: true})
	text := printed(t, run, check.Check(run, check.Limits{}))
	for _, want := range []string{"fault kill                     1\n", "fault cut                      1, 1 met nobody, 7 tries\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in %s", want, text)
		}
	}
}

func TestHistoryOfAKeyIsPrintedInTheOrderOfTime(t *testing.T) {
	t.Parallel()
	run := twoRuns(history.Transactional, history.Fault{Kind: "kill", Server: 1, At: 1500000000})
	text := printed(t, run, check.Check(run, check.Limits{}))
	for _, want := range []string{
		"VIOLATED duplicate-row: 2 rows, 1 of them too soon (key t/k", "-> request 1 of client 0 to server 1", "!! kill of server 1",
		"<- request 1: no answer: EOF", "-> request 2", "<- request 2: 201", "-> request 3", "a replay", "{ID:1 Tenant:t",
	} {
		before, after, found := strings.Cut(text, want)
		if !found {
			t.Fatalf("after %q there is no %q", before, want)
		}
		text = after
	}
}
