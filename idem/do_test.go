package idem_test

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/memory"
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

// twice calls Do twice with a function that returns result, and returns what both
// calls said; both must be the same.
func twice[T any](t *testing.T, result T) T {
	t.Helper()
	store := newMemory(t)
	runs := 0
	var got [2]T
	for i := range got {
		var err error
		got[i], err = idem.Do(t.Context(), idem.DoConfig{Store: store}, "k", nil, func(context.Context) (T, error) {
			runs++
			return result, nil
		})
		if err != nil {
			t.Fatalf("%#v: %v", result, err)
		}
	}
	if runs != 1 {
		t.Errorf("%#v: %d runs", result, runs)
	}
	if !reflect.DeepEqual(got[0], got[1]) {
		t.Errorf("first %#v, replayed %#v", got[0], got[1])
	}
	return got[1]
}

// equal demands that a result comes back as it was.
func equal[T any](t *testing.T, result T) {
	t.Helper()
	if got := twice(t, result); !reflect.DeepEqual(got, result) {
		t.Errorf("%#v came back as %#v", result, got)
	}
}

func TestDoReplaysFalsyResultsAsTheyWere(t *testing.T) {
	t.Parallel()
	equal(t, []int(nil))
	equal(t, []int{})
	equal(t, map[string]int(nil))
	equal(t, map[string]int{})
	equal(t, []byte(nil))
	equal(t, []byte{})
	equal(t, (*receipt)(nil))
	equal(t, &receipt{})
	equal(t, receipt{})
	equal(t, receipt{Notes: []string{}})
	equal(t, struct{}{})
	equal(t, "")
	equal(t, 0)
	equal(t, false)
	equal(t, any(nil))
	equal(t, time.Time{})
	equal(t, [2]*int{})
}

// What a codec loses is lost for the first call too: both are the record.
func TestDoReturnsTheRecordTheFirstTimeToo(t *testing.T) {
	t.Parallel()
	type partly struct {
		Shown  int
		hidden int
	}
	if got := twice(t, partly{1, 2}); got != (partly{Shown: 1}) {
		t.Errorf("%+v", got)
	}
	if got := twice(t, any(1)); got != 1.0 {
		t.Errorf("%#v", got)
	}
	if got := twice(t, "\xff"); got != "\ufffd" {
		t.Errorf("%q", got)
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

// Behaviour 33.
func TestDoScopes(t *testing.T) {
	t.Parallel()
	var l ledger
	cfg := idem.DoConfig{Store: newMemory(t)}
	for _, scope := range []string{"", "acme", "ac", "mek"} {
		cfg.Scope = scope
		for _, key := range []string{"k", "mek", "acmek"} {
			if _, err := idem.Do(t.Context(), cfg, key, nil, charger(&l)); err != nil {
				t.Error(err)
			}
		}
	}
	l.mustHold(t, 12, 12)
}

// Behaviours 10, 33.
func TestDoRefusesKeysAndScopes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		scope, key string
		want       error
		outcome    idem.Outcome
	}{
		"Empty":      {"", "", idem.ErrKeyInvalid, "key-invalid"},
		"NUL":        {"", "a\x00", idem.ErrKeyInvalid, "key-invalid"},
		"NotUTF8":    {"", "a\xff", idem.ErrKeyInvalid, "key-invalid"},
		"Separator":  {"", "acme\x1fk", idem.ErrKeyInvalid, "key-invalid"},
		"Long":       {"", strings.Repeat("k", 1025), idem.ErrKeyInvalid, "key-invalid"},
		"LongScoped": {"s", strings.Repeat("k", 1023), idem.ErrKeyInvalid, "key-invalid"},
		"BadScope":   {"a\x1fb", "k", idem.ErrScopeDenied, "scope-denied"},
		"LongScope":  {strings.Repeat("s", 1024), "k", idem.ErrKeyInvalid, "key-invalid"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var l ledger
			var seen events
			store := hookedStore{Store: newMemory(t), reserve: neverReserve(t)}
			cfg := idem.DoConfig{Store: store, Scope: c.scope, Observer: seen.observe}
			if _, err := idem.Do(t.Context(), cfg, c.key, nil, charger(&l)); !errors.Is(err, c.want) {
				t.Errorf("Do = %v, want %v", err, c.want)
			}
			l.mustHold(t, 0, 0)
			if e := seen.wait(t, 1)[0]; e.Outcome != c.outcome {
				t.Errorf("event %+v", e)
			}
		})
	}
}

func TestDoConfigIsChecked(t *testing.T) {
	t.Parallel()
	store := memory.New(memory.Config{})
	for field, cfg := range map[string]idem.DoConfig{
		"Store":      {},
		"DefaultTTL": {Store: store, DefaultTTL: -1},
		"MaxRuns":    {Store: store, MaxRuns: -1},
	} {
		var l ledger
		_, err := idem.Do(t.Context(), cfg, "k", nil, charger(&l))
		if err == nil || !strings.Contains(err.Error(), "DoConfig."+field) {
			t.Errorf("%s: %v", field, err)
		}
		l.mustHold(t, 0, 0)
	}
}
