package main

import (
	"strings"
	"testing"

	"github.com/pgidem/pgidem/internal/waitmodel"
)

const model = "../../../../docs/model/wait.pml"

func TestFindingOtherThanWantedFails(t *testing.T) {
	t.Parallel()
	if err := install(t.Context()); err != nil {
		t.Fatal(err)
	}
	run := waitmodel.Wrong()[0]
	if run.Want == waitmodel.Nothing {
		t.Fatal("nothing is wrong with it")
	}
	if err := check(t.Context(), model, run, false); err != nil {
		t.Errorf("its hole was looked for: %v", err)
	}
	hole := run.Want.String()
	run.Want = waitmodel.Nothing
	if err := check(t.Context(), model, run, false); err == nil || !strings.Contains(err.Error(), run.Name) || !strings.Contains(err.Error(), hole) {
		t.Errorf("a run that was to find nothing ended with %v", err)
	}
}

func TestNoRunIsNoSuccess(t *testing.T) {
	t.Parallel()
	if err := search(t.Context(), model, "no such run"); err == nil || !strings.Contains(err.Error(), "no such run") {
		t.Errorf("nothing was searched, and it ended with %v", err)
	}
}
