package main

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pgidem/pgidem/torture/broken"
	"github.com/pgidem/pgidem/torture/check"
	"github.com/pgidem/pgidem/torture/history"
	"github.com/pgidem/pgidem/torture/wallclock"
)

// disturbances are faults that make attempts fail in all their places.
const disturbances = "terminate-backend,cut,cut-inside"

// foundOut says how each broken store is found out: by which rule, and what
// must happen meanwhile. Some need no fault at all.
var foundOut = map[string]struct {
	rule   check.Rule
	faults string
	storm  time.Duration
}{
	"nolock-nounique":         {check.DuplicateRow, none, time.Second},
	"commit-before-response":  {check.DuplicateRow, disturbances, 4 * time.Second},
	"reserve-without-lease":   {check.LostKey, "kill", 2 * time.Second},
	"swallow-commit-error":    {check.MissingRow, disturbances, 4 * time.Second},
	"replay-before-commit":    {check.MissingRow, disturbances, 4 * time.Second},
	"scope-ignored":           {check.ForeignAnswer, none, time.Second},
	"first-header-value-only": {check.DifferentAnswers, none, time.Second},
	"sweep-ignores-leases":    {check.DuplicateRow, none, 2 * time.Second},
	"sweep-too-soon":          {check.DuplicateRow, none, 2 * time.Second},
	"sweep-forgets":           {check.DuplicateRow, none, 5 * time.Second},
	"expiry-by-own-clock":     {check.DuplicateRow, "clock-jump", 4 * time.Second},
	"replay-after-expiry":     {check.NotLinearizable, none, 4 * time.Second},
	"hash-ignored":            {check.ForeignAnswer, none, time.Second},
}

// program builds the torture program, once for all tests and their servers.
var program = sync.OnceValues(func() (string, error) {
	return wallclock.Build(context.Background(), buildFolder)
})

func TestCheckerCatchesBrokenStores(t *testing.T) {
	t.Parallel()
	for _, name := range broken.Names() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mustBeFoundOut(t, name)
		})
	}
}

// tries are how many runs may pass before a store is found out: where its flaw
// is a moment in which something must fail, a short run can miss it.
const tries = 3

func mustBeFoundOut(t *testing.T, name string) {
	want, ok := foundOut[name]
	if !ok {
		t.Fatal("nothing is known of how this store is found out")
	}
	var found []string
	for seed := 1; seed <= tries; seed++ {
		run, out := tortured(t, want.storm, "-broken="+name, "-faults="+want.faults, fmt.Sprint("-seed=", seed))
		v := check.Check(run, limits())
		switch {
		case v.OK():
			continue
		case !strings.Contains(out, errBroken.Error()):
			t.Fatalf("the program does not say that the promise is broken:\n%s", out)
		case !v.Broke(want.rule):
			// One flaw shows in more than one way, and not in all of them each time.
			found = append(found, fmt.Sprint(v.Violations))
			continue
		}
		return
	}
	t.Errorf("%d runs found wrong: %v; want %s among it", tries, found, want.rule)
}

// What finds a broken store out is its flaw, and not the haste of these runs.
func TestCheckerPassesSoundStores(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{history.Transactional, history.Leased} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			if _, out := tortured(t, 2*time.Second, "-mode="+mode, "-faults="+disturbances, "-seed=1", "-quiet=1m"); strings.Contains(out, errBroken.Error()) {
				t.Error(out)
			}
		})
	}
}

// tortured runs the program for a short storm. The quiet end, unless the arguments
// say how long it is, is long enough for nearly every key of a sound store: not for
// one whose handler overruns its time in each of its five runs.
func tortured(t *testing.T, storm time.Duration, arguments ...string) (history.Run, string) {
	t.Helper()
	binary, err := program()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "history.gz")
	arguments = append([]string{"-history=" + file, "-duration=" + storm.String(), "-servers=2", "-clients=12", "-quiet=15s", "-pace=12"}, arguments...)
	begin := time.Now()
	out, failed := exec.CommandContext(t.Context(), binary, arguments...).CombinedOutput()
	t.Logf("%v took %v", arguments, time.Since(begin).Round(time.Second))
	run, err := history.Load(file)
	if err != nil {
		t.Fatalf("no history: %v\n%s", err, out)
	}
	if saysBroken := strings.Contains(string(out), errBroken.Error()); saysBroken != (failed != nil) {
		t.Fatalf("it exits with %v and says:\n%s", failed, out)
	}
	return run, string(out)
}
