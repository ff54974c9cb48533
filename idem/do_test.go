package idem_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/pgidem/pgidem/idem"
)

type charge struct {
	Account string
	Amount  int
}

type receipt struct {
	ID    int
	Notes []string
}

var aCharge = charge{"acct_1", 1250}

// charger is a function for Do that writes a row and counts its runs.
func charger(l *ledger) func(context.Context) (receipt, error) {
	return func(ctx context.Context) (receipt, error) {
		l.insert(ctx)
		return receipt{ID: int(l.runs.Add(1))}, nil
	}
}

func (l *ledger) mustHold(t testing.TB, runs, rows int64) {
	t.Helper()
	if l.runs.Load() != runs || l.rows.Load() != rows {
		t.Errorf("%d runs and %d rows, want %d and %d", l.runs.Load(), l.rows.Load(), runs, rows)
	}
}

func TestDoReplays(t *testing.T) {
	t.Parallel()
	var l ledger
	var seen events
	cfg := idem.DoConfig{Store: transactionalStore{newMemory(t)}, Observer: seen.observe}
	for range 2 {
		got, err := idem.Do(t.Context(), cfg, "k", aCharge, charger(&l))
		if err != nil || got.ID != 1 {
			t.Errorf("Do = %+v, %v", got, err)
		}
	}
	l.mustHold(t, 1, 1)
	e := seen.wait(t, 2)
	if e[0].Outcome != idem.OutcomeCommitted || e[0].Runs != 1 || e[1].Outcome != idem.OutcomeReplayed || e[1].Runs != 0 {
		t.Errorf("events %+v", e)
	}
	if e[0].KeyDigest == "" || e[0].Key != "" || e[0].Duration <= 0 || e[0].Err != nil || e[0].Status != 0 {
		t.Errorf("event %+v", e[0])
	}
}

func TestDoObservesKeysOnlyWhenAsked(t *testing.T) {
	t.Parallel()
	var seen events
	cfg := idem.DoConfig{Store: newMemory(t), Scope: "acme", Observer: seen.observe, ObserveKeys: true}
	if _, err := idem.Do(t.Context(), cfg, "k", nil, charger(&ledger{})); err != nil {
		t.Error(err)
	}
	if e := seen.wait(t, 1)[0]; e.Key != "acme\x1fk" {
		t.Errorf("key %q", e.Key)
	}
}

func TestDoDuplicatesWait(t *testing.T) {
	t.Parallel()
	var l ledger
	cfg := idem.DoConfig{Store: newMemory(t)}
	results := make(chan receipt)
	for range 50 {
		go func() {
			got, err := idem.Do(t.Context(), cfg, "k", aCharge, func(ctx context.Context) (receipt, error) {
				<-time.After(10 * time.Millisecond) // the work
				return charger(&l)(ctx)
			})
			if err != nil {
				t.Error(err)
			}
			results <- got
		}()
	}
	for range 50 {
		if got := receive(t, "a result", results); got.ID != 1 {
			t.Errorf("result %+v", got)
		}
	}
	l.mustHold(t, 1, 1)
}

func TestDoWaitsNoLongerThanItIsTold(t *testing.T) {
	t.Parallel()
	store := newMemory(t)
	leave, inside := make(chan bool), make(chan bool)
	ended := make(chan error)
	go func() {
		_, err := idem.Do(t.Context(), idem.DoConfig{Store: store}, "k", nil, func(context.Context) (int, error) {
			inside <- true
			<-leave
			return 1, nil
		})
		ended <- err
	}()
	receive(t, "the first run", inside)
	never := func(context.Context) (int, error) {
		t.Error("ran twice")
		return 0, nil
	}
	short, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	for name, c := range map[string]struct {
		ctx  context.Context
		wait time.Duration
		want error
	}{
		"WaitTimeout":    {t.Context(), 10 * time.Millisecond, idem.ErrWaitTimeout},
		"CallerDeadline": {short, 0, idem.ErrWaitTimeout},
		"NoWait":         {t.Context(), -1, idem.ErrInFlight},
	} {
		cfg := idem.DoConfig{Store: store, WaitTimeout: c.wait}
		if _, err := idem.Do(c.ctx, cfg, "k", nil, never); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	close(leave)
	if err := receive(t, "the end of the first run", ended); err != nil {
		t.Error(err)
	}
}

func TestDoErrorIsNotKept(t *testing.T) {
	t.Parallel()
	failed := errors.New("card network is down")
	for name, chosen := range map[string]idem.Disposition{"Default": 0, "WhateverItChose": idem.CommitAll} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var l ledger
			var seen events
			cfg := idem.DoConfig{Store: transactionalStore{newMemory(t)}, Observer: seen.observe}
			do := func() (receipt, error) {
				return idem.Do(t.Context(), cfg, "k", aCharge, func(ctx context.Context) (receipt, error) {
					got, _ := charger(&l)(ctx)
					if l.runs.Load() == 1 {
						idem.SetDisposition(ctx, chosen)
						return got, failed
					}
					return got, nil
				})
			}
			if got, err := do(); err != failed || got.ID != 0 { //nolint:errorlint // as it is
				t.Errorf("Do = %+v, %v", got, err)
			}
			l.mustHold(t, 1, 0)
			if got, err := do(); err != nil || got.ID != 2 {
				t.Errorf("retry = %+v, %v", got, err)
			}
			l.mustHold(t, 2, 1)
			if e := seen.wait(t, 2)[0]; e.Outcome != idem.OutcomeDiscarded || !errors.Is(e.Err, failed) {
				t.Errorf("event %+v", e)
			}
		})
	}
}

func TestDoSetDisposition(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		disposition idem.Disposition
		runs, rows  int64
	}{
		"Discard":        {idem.Discard, 2, 0},
		"CommitResponse": {idem.CommitResponse, 1, 0},
		"CommitAll":      {idem.CommitAll, 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var l ledger
			cfg := idem.DoConfig{Store: transactionalStore{newMemory(t)}}
			for range 2 {
				got, err := idem.Do(t.Context(), cfg, "k", nil, func(ctx context.Context) (receipt, error) {
					idem.SetDisposition(ctx, c.disposition)
					return charger(&l)(ctx)
				})
				if err != nil || got.ID == 0 {
					t.Errorf("Do = %+v, %v", got, err)
				}
			}
			l.mustHold(t, c.runs, c.rows)
		})
	}
}

func TestDoRefusesAnotherRequest(t *testing.T) {
	t.Parallel()
	cfg := idem.DoConfig{Store: newMemory(t)}
	if _, err := idem.Do(t.Context(), cfg, "k", aCharge, charger(&ledger{})); err != nil {
		t.Fatal(err)
	}
	var l ledger
	_, err := idem.Do(t.Context(), cfg, "k", charge{"acct_1", 1251}, charger(&l))
	if !errors.Is(err, idem.ErrHashMismatch) {
		t.Errorf("Do = %v, want ErrHashMismatch", err)
	}
	l.mustHold(t, 0, 0)
}
