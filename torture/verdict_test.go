package main

import (
	"errors"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pgidem/pgidem/torture/history"
)

// paid is the history of one payment, made once and replayed.
func paid() history.Run {
	answer := history.Request{
		Tenant: "t", Key: "k", Account: 1, Amount: 5, Server: 1, Answered: true, Status: 201,
		Header: http.Header{history.OwnerHeader: {"t/k"}}, Body: []byte(`{"ID":1,"Tenant":"t","Key":"k","Account":1,"Amount":5}`),
	}
	run := history.Run{
		Mode: history.Transactional, Opening: 10, Balances: map[int]int64{1: 15}, Quiet: time.Second, Ended: 4 * time.Second,
		Rows: []history.Row{{ID: 1, Tenant: "t", Key: "k", Account: 1, Amount: 5}},
	}
	for i := range 2 {
		answer.ID, answer.Client, answer.Replayed = int64(i+1), i, i > 0
		answer.Sent = time.Duration(2*i) * time.Second
		answer.Ended = answer.Sent + time.Second/2
		run.Requests = append(run.Requests, answer)
	}
	return run
}

func TestVerdictOfASavedHistory(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "history.gz")
	if err := history.Save(name, paid()); err != nil {
		t.Fatal(err)
	}
	if err := recheck(name); err != nil {
		t.Errorf("a good history: %v", err)
	}
	bad := paid()
	bad.Rows = append(bad.Rows, history.Row{ID: 2, Tenant: "t", Key: "k", Account: 1, Amount: 5})
	bad.Balances[1] += 5
	if err := history.Save(name, bad); err != nil {
		t.Fatal(err)
	}
	if err := recheck(name); !errors.Is(err, errBroken) {
		t.Errorf("a payment that was made twice: %v", err)
	}
}

func TestVerdictShowsTheKeyAndCounts(t *testing.T) {
	t.Parallel()
	run := paid()
	run.Requests[1].Body = []byte(`{"ID":1,"Tenant":"t","Key":"k","Account":1,"Amount":5, "other":"bytes"}`)
	var out strings.Builder
	if err := verdict(&out, run); !errors.Is(err, errBroken) {
		t.Fatalf("other bytes in a replay: %v", err)
	}
	for _, want := range []string{"duplicates 0, lost 0, wrong bytes 1", "-> request 1 ", "<- request 2", "t/k"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
}

func TestVerdictSaysHowMuchIsNotShown(t *testing.T) {
	t.Parallel()
	run := paid()
	for i := range 30 {
		run.Rows = append(run.Rows, history.Row{ID: int64(i + 10), Tenant: "t", Key: "stray", Account: 2, Amount: 1})
	}
	var out strings.Builder
	if err := verdict(&out, run); !errors.Is(err, errBroken) {
		t.Fatalf("stray rows: %v", err)
	}
	if !strings.Contains(out.String(), "not shown)") {
		t.Errorf("it does not say that there is more:\n%s", out.String())
	}
}

func TestKindOfFaultThatMetNobodyIsAFailure(t *testing.T) {
	t.Parallel()
	fault := func(kind string, missed bool) history.Fault {
		return history.Fault{Kind: kind, Missed: missed, Tries: 2}
	}
	often := []history.Fault{fault("cut", true), fault("cut", true), fault("cut", true)}
	for name, c := range map[string]struct {
		faults []history.Fault
		fails  bool
	}{
		"NoFaults":       {nil, false},
		"NobodyMet":      {often, true},
		"OneMet":         {append(often[:3:3], fault("cut", false)), false},
		"AnotherKindMet": {append(often[:3:3], fault("kill", false)), true},
		"TooFew":         {often[1:], false},
	} {
		var out strings.Builder
		if err := judgeFaults(&out, c.faults); errors.Is(err, errHarmless) != c.fails {
			t.Errorf("%s: %v, %s", name, err, out.String())
		}
		if c.fails != strings.Contains(out.String(), "none of 3 cut has met anybody") {
			t.Errorf("%s: it says %q", name, out.String())
		}
	}
}

func TestKeyThatStaysUnusableIsAFailure(t *testing.T) {
	t.Parallel()
	r := &run{}
	if err := r.judgeQuiet(); err != nil {
		t.Errorf("no key was unusable: %v", err)
	}
	r.unusable.Length = time.Minute
	if err := r.judgeQuiet(); !errors.Is(err, errBroken) {
		t.Errorf("a key was unusable for a minute: %v", err)
	}
}
