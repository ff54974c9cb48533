package plan_test

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/pgidem/pgidem/torture/history"
	"github.com/pgidem/pgidem/torture/ledger"
	"github.com/pgidem/pgidem/torture/plan"
)

var modes = []string{history.Transactional, history.Leased, history.Redis}

func TestSameSeedSamePlan(t *testing.T) {
	t.Parallel()
	for _, mode := range modes {
		a, b := plan.Faults(7, mode, 3, time.Minute), plan.Faults(7, mode, 3, time.Minute)
		if !reflect.DeepEqual(a, b) {
			t.Errorf("%s: two schedules of one seed differ", mode)
		}
		if other := plan.Faults(8, mode, 3, time.Minute); reflect.DeepEqual(a, other) {
			t.Errorf("%s: another seed draws the same schedule", mode)
		}
	}
	for i := range 1000 {
		if a, b := plan.NewOperation(7, i, 3), plan.NewOperation(7, i, 3); !reflect.DeepEqual(a, b) {
			t.Fatalf("operation %d is drawn as %+v and as %+v", i, a, b)
		}
	}
	if a, b := plan.NewOperation(7, 1, 3), plan.NewOperation(8, 1, 3); reflect.DeepEqual(a.Payment, b.Payment) {
		t.Error("another seed draws the same payment")
	}
}

func TestMinuteHasEveryKindOfFault(t *testing.T) {
	t.Parallel()
	for seed := range uint64(50) {
		for _, mode := range modes {
			faults := plan.Faults(seed, mode, 3, time.Minute)
			for _, kind := range plan.Kinds(mode) {
				if !slices.ContainsFunc(faults, func(f plan.Fault) bool { return f.Kind == kind }) {
					t.Errorf("seed %d, %s: no %s", seed, mode, kind)
				}
			}
		}
	}
}

// Two faults of one kind of thing would end each other, or fail to begin: a
// server that is down cannot be killed.
func TestFaultsDoNotUndoEachOther(t *testing.T) {
	t.Parallel()
	groups := map[string][]plan.Kind{
		"process":  {plan.Kill, plan.Freeze, plan.ClockJump, plan.LoseHost},
		"link":     {plan.CutInside, plan.SilenceToServer, plan.SilenceToClient, plan.Delay, plan.Slow, plan.Refuse, plan.LoseHost},
		"database": {plan.RestartPostgres, plan.ReadOnly, plan.FullDisk, plan.LockTable},
	}
	for seed := range uint64(50) {
		faults := plan.Faults(seed, history.Transactional, 3, 20*time.Second)
		for name, kinds := range groups {
			for number := range 4 {
				mustNotOverlap(t, name, faults, func(f plan.Fault) bool {
					return f.Server == number && slices.Contains(kinds, f.Kind)
				})
			}
		}
	}
}

func mustNotOverlap(t *testing.T, name string, faults []plan.Fault, match func(plan.Fault) bool) {
	t.Helper()
	var until time.Duration
	for _, f := range faults {
		if !match(f) {
			continue
		}
		if f.At < until {
			t.Errorf("%s: %+v begins before the one before it has ended, at %v", name, f, until)
		}
		until = f.At + f.Lasts
	}
}

func TestOperationsDoEverything(t *testing.T) {
	t.Parallel()
	acts, levels := make(map[ledger.Act]int), make(map[plan.Level]int)
	storms, hangUps, quitters, returns := 0, 0, 0, 0
	brief, remembered, misused := 0, 0, 0
	for i := range 2000 {
		o := plan.NewOperation(1, i, 3)
		acts[o.Payment.Act]++
		levels[o.Level]++
		storms += len(o.Senders) / 2
		returns += len(o.Returns)
		if o.Brief {
			brief++
		}
		if o.Remembered {
			remembered++
			if !o.Brief {
				t.Fatalf("operation %d is to be remembered after its record's end, and has none", i)
			}
		}
		if o.Other != nil {
			misused++
			if o.As(true).Payment.Amount == o.As(false).Payment.Amount {
				t.Fatalf("operation %d has twice the same payment", i)
			}
		}
		for _, s := range o.Senders {
			for _, try := range s.Tries {
				if try.HangUp {
					hangUps++
				}
			}
			if s.GivesUp {
				quitters++
			}
			if s.First < 0 || s.First >= 3 {
				t.Fatalf("there is no server %d", s.First)
			}
		}
	}
	if len(acts) != len(ledger.Acts) || len(levels) != len(plan.Levels) || storms*hangUps*quitters*returns*(brief-remembered)*remembered*misused == 0 {
		t.Errorf("acts %v, levels %v, %d storms, %d hang-ups, %d who give up, %d returns, %d brief, %d of them remembered, %d misused",
			acts, levels, storms, hangUps, quitters, returns, brief, remembered, misused)
	}
}
