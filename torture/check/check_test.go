package check_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/pgidem/pgidem/torture/check"
	"github.com/pgidem/pgidem/torture/history"
)

// How many histories are tried. Most kinds of breakage fit into each of them.
const (
	correctSeeds = 20
	brokenSeeds  = 8
)

var modes = []string{history.Transactional, history.Leased, history.Redis}

func TestCorrectHistoriesPass(t *testing.T) {
	t.Parallel()
	for _, mode := range modes {
		for _, keys := range []kind{{}, brief, remembered, misused, {brief: true, misused: true}, {brief: true, remembered: true, misused: true}} {
			for seed := range uint64(correctSeeds) {
				run := simulate(mode, seed, keys)
				v := check.Check(run, check.Limits{})
				if !v.OK() || len(v.Reports) > 0 {
					t.Fatalf("seed %d, %+v: %s", seed, keys, printed(t, run, v))
				}
				if (keys.brief && !keys.remembered) != (v.Counts.Again > 0) || keys.remembered != (v.Counts.Expired > 0) || keys.misused != (v.Counts.Mismatched > 0) {
					t.Fatalf("seed %d, %+v: %+v", seed, keys, v.Counts)
				}
			}
		}
	}
}

func TestOneThingWrongIsFound(t *testing.T) {
	t.Parallel()
	for _, mode := range modes {
		breakages := slices.Concat(everywhere, ofExpiry, ofMemory, ofOtherRequests)
		if mode == history.Transactional {
			breakages = slices.Concat(breakages, inTransactions, whileItLives)
		}
		for _, b := range breakages {
			t.Run(mode+"/"+b.name, func(t *testing.T) {
				t.Parallel()
				findsAll(t, mode, b)
			})
		}
	}
}

func findsAll(t *testing.T, mode string, b breakage) {
	applied := 0
	for seed := range uint64(brokenSeeds) {
		run := simulate(mode, seed, b.keys)
		if !b.apply(&run) {
			continue
		}
		applied++
		if v := check.Check(run, check.Limits{}); !v.Broke(b.rule) {
			t.Fatalf("seed %d: %s was not found: %s", seed, b.rule, printed(t, run, v))
		}
	}
	if applied < brokenSeeds/2 {
		t.Errorf("only %d of %d histories could be broken so", applied, brokenSeeds)
	}
}

func printed(t *testing.T, run history.Run, v check.Verdict) string {
	t.Helper()
	var b bytes.Buffer
	if err := check.Print(&b, run, v); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
