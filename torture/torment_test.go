package main

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pgidem/pgidem/torture/history"
	"github.com/pgidem/pgidem/torture/inject"
	"github.com/pgidem/pgidem/torture/plan"
)

// tormented runs one fault, which begins as begin says, and returns the account
// of it.
func tormented(t *testing.T, begin func(try int) (inject.End, error)) (account []history.Fault, err error) {
	t.Helper()
	start, try := time.Now(), 0
	torment := &torment{
		now: func() time.Duration { return time.Since(start) },
		begin: func(context.Context, plan.Fault) (inject.End, error) {
			try++
			return begin(try)
		},
	}
	err = torment.inflict(t.Context(), []plan.Fault{{Kind: plan.Refuse, Server: 2, Lasts: time.Second}})
	return torment.injected(), err
}

// ends returns an end that says so.
func ends(err error) inject.End { return func(context.Context) error { return err } }

func TestFaultIsTriedAgainUntilItMeetsSomebody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		account, err := tormented(t, func(try int) (inject.End, error) {
			switch try {
			case 1:
				return ends(inject.ErrNoVictim), nil
			case 2:
				return nil, errors.New("down at the moment")
			}
			return ends(nil), nil
		})
		want := history.Fault{Kind: string(plan.Refuse), Server: 2, At: time.Second + 2*retryPause, Lasted: time.Second, Tries: 3}
		if err != nil || len(account) != 1 || account[0] != want {
			t.Errorf("%+v, %v; want %+v", account, err, want)
		}
	})
}

func TestFaultThatMeetsNobodyIsGivenUp(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]error{"AtItsEnd": inject.ErrNoVictim, "AtItsBeginning": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				account, err := tormented(t, func(int) (inject.End, error) {
					if end == nil {
						return nil, inject.ErrNoVictim
					}
					return ends(end), nil
				})
				if err != nil || len(account) != 1 || !account[0].Missed || account[0].Tries < 4 {
					t.Fatalf("%+v, %v", account, err)
				}
				if longest := time.Second + retryFor + time.Second + retryPause; account[0].At+account[0].Lasted > longest {
					t.Errorf("%+v ends after %v", account[0], longest)
				}
			})
		})
	}
}

func TestImpossibleFaultIsNone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		account, err := tormented(t, func(int) (inject.End, error) { return nil, fmt.Errorf("no: %w", inject.ErrImpossible) })
		if err != nil || len(account) != 0 {
			t.Errorf("%+v, %v", account, err)
		}
	})
}

func TestFaultThatCannotBeTakenBackEndsTheRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		stuck := errors.New("stuck")
		if _, err := tormented(t, func(int) (inject.End, error) { return ends(stuck), nil }); !errors.Is(err, stuck) {
			t.Error(err)
		}
	})
}
