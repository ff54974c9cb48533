package idem_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/pgidem/pgidem/idem"
)

// A permanent error is the same for the first call and for every replay.
func TestDoPermanentError(t *testing.T) {
	t.Parallel()
	declined := &idem.PermanentError{Code: "declined"}
	for name, c := range map[string]struct {
		err           error
		code, message string
	}{
		"Marked":        {idem.Permanent(errors.New("no funds")), "", "no funds"},
		"WithCode":      {&idem.PermanentError{Code: "declined", Message: "no funds"}, "declined", "no funds"},
		"CodeOnly":      {declined, "declined", "declined"},
		"Wrapped":       {fmt.Errorf("charge: %w", &idem.PermanentError{Code: "declined", Message: "no funds"}), "declined", "charge: no funds"},
		"MarkedWrapped": {idem.Permanent(fmt.Errorf("charge: %w", declined)), "declined", "charge: declined"},
		"NotUTF8":       {idem.Permanent(errors.New("\xff")), "", "\ufffd"},
		"Silent":        {idem.Permanent(errors.New("")), "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var l ledger
			var seen events
			cfg := idem.DoConfig{Store: transactionalStore{newMemory(t)}, Observer: seen.observe}
			for call := range 3 {
				got, err := idem.Do(t.Context(), cfg, "k", aCharge, func(ctx context.Context) (receipt, error) {
					got, _ := charger(&l)(ctx)
					return got, c.err
				})
				var p *idem.PermanentError
				if !errors.As(err, &p) || p.Code != c.code || p.Message != c.message || got.ID != 0 {
					t.Errorf("call %d: %+v, %#v", call, got, err)
				}
				if is := errors.Is(err, declined); is != (c.code == "declined") {
					t.Errorf("call %d: is declined: %v", call, is)
				}
			}
			l.mustHold(t, 1, 0)
			if e := seen.wait(t, 3); e[0].Outcome != idem.OutcomeResponseCommitted || e[1].Outcome != idem.OutcomeReplayed || e[0].Err == nil {
				t.Errorf("events %+v", e)
			}
		})
	}
}

func TestPermanentOfNilIsNil(t *testing.T) {
	t.Parallel()
	if err := idem.Permanent(nil); err != nil {
		t.Error(err)
	}
	if a, b := idem.Permanent(errors.New("a")), idem.Permanent(errors.New("b")); errors.Is(a, b) {
		t.Error("two errors without a code are taken for one")
	}
}

// The writes before a permanent error stay if the function says so.
func TestDoPermanentErrorWithItsWrites(t *testing.T) {
	t.Parallel()
	var l ledger
	cfg := idem.DoConfig{Store: transactionalStore{newMemory(t)}}
	for range 2 {
		_, err := idem.Do(t.Context(), cfg, "k", nil, func(ctx context.Context) (receipt, error) {
			idem.SetDisposition(ctx, idem.CommitAll)
			got, _ := charger(&l)(ctx)
			return got, idem.Permanent(errors.New("declined, and noted"))
		})
		if err == nil {
			t.Error("no error")
		}
	}
	l.mustHold(t, 1, 1)
}

// A nil *PermanentError in an error is an error like any other.
func TestDoTypedNilPermanentError(t *testing.T) {
	t.Parallel()
	_, err := idem.Do(t.Context(), idem.DoConfig{Store: newMemory(t)}, "k", nil, func(context.Context) (int, error) {
		var none *idem.PermanentError
		return 1, none
	})
	if err == nil || errors.Is(err, &idem.PermanentError{Code: "declined"}) {
		t.Errorf("error %v", err)
	}
}
