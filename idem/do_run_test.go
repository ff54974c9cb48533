package idem_test

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/pgidem/pgidem/idem"
)

// Behaviour 60.
func TestDoInsideItsOwnKeyIsNested(t *testing.T) {
	t.Parallel()
	var l ledger
	cfg := idem.DoConfig{Store: newMemory(t)}
	_, err := idem.Do(t.Context(), cfg, "k", nil, func(ctx context.Context) (receipt, error) {
		if _, err := idem.Do(ctx, cfg, "another", nil, charger(&l)); err != nil {
			t.Errorf("another key inside: %v", err)
		}
		return idem.Do(ctx, cfg, "k", nil, charger(&l))
	})
	if !errors.Is(err, idem.ErrNested) {
		t.Errorf("Do = %v", err)
	}
	l.mustHold(t, 1, 1)
}

// Behaviour 40.
func TestDoRunsAgainOnConflicts(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		conflicts int64
		maxRuns   int
		ok        bool
		runs      int64
	}{
		"Two":     {2, 0, true, 3},
		"TooMany": {3, 0, false, 3},
		"Never":   {1, 1, false, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var l ledger
			cfg := idem.DoConfig{Store: conflictStore(t, c.conflicts), MaxRuns: c.maxRuns}
			got, err := idem.Do(t.Context(), cfg, "k", nil, charger(&l))
			var refused *idem.CommitError
			switch {
			case c.ok && (err != nil || got.ID != int(c.runs)):
				t.Errorf("Do = %+v, %v", got, err)
			case !c.ok && !errors.As(err, &refused):
				t.Errorf("Do = %+v, %v", got, err)
			}
			rows := int64(0)
			if c.ok {
				rows = 1
			}
			l.mustHold(t, c.runs, rows)
		})
	}
}

func TestDoPanicIsPassedOn(t *testing.T) {
	t.Parallel()
	var l ledger
	var seen events
	cfg := idem.DoConfig{Store: transactionalStore{newMemory(t)}, Observer: seen.observe}
	do := func() (err error) {
		_, err = idem.Do(t.Context(), cfg, "k", nil, func(ctx context.Context) (receipt, error) {
			got, _ := charger(&l)(ctx)
			if got.ID == 1 {
				panic("boom")
			}
			return got, nil
		})
		return err
	}
	func() {
		defer func() {
			if got := recover(); got != "boom" {
				t.Errorf("recovered %v", got)
			}
		}()
		_ = do()
	}()
	l.mustHold(t, 1, 0)
	if err := do(); err != nil {
		t.Errorf("retry: %v", err)
	}
	l.mustHold(t, 2, 1)
	if e := seen.wait(t, 2)[0]; e.Outcome != idem.OutcomePanicked || e.Err == nil {
		t.Errorf("event %+v", e)
	}
}

// As t.FailNow does in a test's function.
func TestDoGoexitIsPassedOn(t *testing.T) {
	t.Parallel()
	ended := make(chan bool, 1)
	go func() {
		returned := false
		defer func() { ended <- returned }()
		_, _ = idem.Do(t.Context(), idem.DoConfig{Store: newMemory(t)}, "k", nil, func(context.Context) (int, error) {
			runtime.Goexit()
			return 0, nil
		})
		returned = true
	}()
	if receive(t, "the end of the goroutine", ended) {
		t.Error("Do returned")
	}
}

// untilDone is a function that works until its context ends, the first time.
func untilDone(l *ledger) func(context.Context) (receipt, error) {
	return func(ctx context.Context) (receipt, error) {
		got, _ := charger(l)(ctx)
		if got.ID == 1 {
			<-ctx.Done()
			return got, ctx.Err()
		}
		return got, nil
	}
}

func TestDoFunctionOverItsTime(t *testing.T) {
	t.Parallel()
	var l ledger
	cfg := idem.DoConfig{Store: transactionalStore{newMemory(t)}, MaxHandlerTime: 20 * time.Millisecond}
	if _, err := idem.Do(t.Context(), cfg, "k", nil, untilDone(&l)); !errors.Is(err, idem.ErrHandlerTimeout) {
		t.Errorf("Do = %v", err)
	}
	l.mustHold(t, 1, 0)
	if got, err := idem.Do(t.Context(), cfg, "k", nil, untilDone(&l)); err != nil || got.ID != 2 {
		t.Errorf("retry = %+v, %v", got, err)
	}
	l.mustHold(t, 2, 1)
}

// Without a transaction, what an abandoned function returns in the end is kept.
func TestDoAbandonedFunctionIsRecordedWithoutATransaction(t *testing.T) {
	t.Parallel()
	var l ledger
	var seen events
	leave := make(chan bool)
	cfg := idem.DoConfig{Store: newMemory(t), MaxHandlerTime: 20 * time.Millisecond, Observer: seen.observe}
	do := func() (receipt, error) {
		return idem.Do(t.Context(), cfg, "k", nil, func(ctx context.Context) (receipt, error) {
			<-leave
			return charger(&l)(ctx)
		})
	}
	if _, err := do(); !errors.Is(err, idem.ErrHandlerTimeout) {
		t.Errorf("Do = %v", err)
	}
	close(leave)
	if got, err := do(); err != nil || got.ID != 1 {
		t.Errorf("retry = %+v, %v", got, err)
	}
	l.mustHold(t, 1, 1)
	outcomes := map[idem.Outcome]int{}
	for _, e := range seen.wait(t, 3) {
		outcomes[e.Outcome]++
	}
	if outcomes["handler-timeout"] != 1 || outcomes[idem.OutcomeCommitted] != 1 || outcomes[idem.OutcomeReplayed] != 1 {
		t.Errorf("outcomes %v", outcomes)
	}
}

// Behaviour 40.
func TestDoStoreFails(t *testing.T) {
	t.Parallel()
	broken := errors.New("connection refused")
	for name, c := range map[string]struct {
		store      func(inner idem.Store) hookedStore
		want       error
		runs, rows int64
	}{
		"Reserve": {func(inner idem.Store) hookedStore {
			return hookedStore{Store: transactionalStore{inner}, reserve: func(context.Context) error { return broken }}
		}, idem.ErrStoreUnavailable, 0, 0},
		"CommitInATransaction": {func(inner idem.Store) hookedStore {
			return hookedStore{Store: transactionalStore{inner}, commit: func(context.Context) error { return idem.ErrOutcomeUnknown }}
		}, idem.ErrOutcomeUnknown, 1, 0},
		"CommitUnderALease": {func(inner idem.Store) hookedStore {
			return hookedStore{Store: inner, commit: func(context.Context) error { return idem.ErrLeaseLost }}
		}, nil, 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var l ledger
			got, err := idem.Do(t.Context(), idem.DoConfig{Store: c.store(newMemory(t))}, "k", nil, charger(&l))
			if !errors.Is(err, c.want) || err == nil && got.ID != 1 {
				t.Errorf("Do = %+v, %v, want %v", got, err, c.want)
			}
			l.mustHold(t, c.runs, c.rows)
		})
	}
}

// A panicking observer changes nothing.
func TestDoObserverPanics(t *testing.T) {
	t.Parallel()
	cfg := idem.DoConfig{Store: newMemory(t), Observer: func(context.Context, idem.Event) { panic("observer") }}
	if got, err := idem.Do(t.Context(), cfg, "k", nil, charger(&ledger{})); err != nil || got.ID != 1 {
		t.Errorf("Do = %+v, %v", got, err)
	}
}
