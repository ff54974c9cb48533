package idem_test

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/pgidem/pgidem/idem"
)

// unencodable returns what JSON has no form for.
func unencodable(l *ledger) func(context.Context) (float64, error) {
	return func(ctx context.Context) (float64, error) {
		l.runs.Add(1)
		l.insert(ctx)
		return math.NaN(), nil
	}
}

func TestDoUnencodableResultInATransaction(t *testing.T) {
	t.Parallel()
	var l ledger
	committed := false
	store := hookedStore{Store: transactionalStore{newMemory(t)}, commit: func(context.Context) error {
		committed = true
		return nil
	}}
	cfg := idem.DoConfig{Store: store}
	if _, err := idem.Do(t.Context(), cfg, "k", nil, unencodable(&l)); !errors.Is(err, idem.ErrResultUnencodable) {
		t.Errorf("Do = %v", err)
	}
	if l.mustHold(t, 1, 0); committed {
		t.Error("Commit was called")
	}
	if got, err := idem.Do(t.Context(), cfg, "k", nil, func(context.Context) (float64, error) { return 1, nil }); err != nil || got != 1 {
		t.Errorf("retry = %v, %v", got, err)
	}
}

// Without a transaction the effect is real: a retry must not repeat it.
func TestDoUnencodableResultUnderALease(t *testing.T) {
	t.Parallel()
	var l ledger
	cfg := idem.DoConfig{Store: newMemory(t)}
	for _, want := range []error{idem.ErrResultUnencodable, idem.ErrResultNotKept, idem.ErrResultNotKept} {
		if _, err := idem.Do(t.Context(), cfg, "k", nil, unencodable(&l)); !errors.Is(err, want) {
			t.Errorf("Do = %v, want %v", err, want)
		}
	}
	l.mustHold(t, 1, 1)
}

// A result that encodes to what cannot be decoded is found out before Commit.
func TestDoResultThatDoesNotComeBack(t *testing.T) {
	t.Parallel()
	var l ledger
	cfg := idem.DoConfig{Store: transactionalStore{newMemory(t)}}
	_, err := idem.Do(t.Context(), cfg, "k", nil, func(ctx context.Context) (fmt.Stringer, error) {
		l.insert(ctx)
		return time.Second, nil
	})
	if !errors.Is(err, idem.ErrResultUnencodable) {
		t.Errorf("Do = %v", err)
	}
	l.mustHold(t, 0, 0)
}

// Behaviour 38.
func TestDoOversizedResult(t *testing.T) {
	t.Parallel()
	fits, large := strings.Repeat("x", 8), strings.Repeat("x", 9) // and two quotes
	for name, c := range map[string]struct {
		transactional bool
		result        string
		first, retry  error
		runs, rows    int64
	}{
		"FitsInATransaction":     {true, fits, nil, nil, 1, 1},
		"FitsUnderALease":        {false, fits, nil, nil, 1, 1},
		"TooLargeInATransaction": {true, large, idem.ErrResponseTooLarge, idem.ErrResponseTooLarge, 2, 0},
		"TooLargeUnderALease":    {false, large, nil, idem.ErrResultNotKept, 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var l ledger
			var store idem.Store = newMemory(t)
			if c.transactional {
				store = transactionalStore{store}
			}
			cfg := idem.DoConfig{Store: store, MaxResultBytes: 10}
			for _, want := range []error{c.first, c.retry} {
				got, err := idem.Do(t.Context(), cfg, "k", nil, func(ctx context.Context) (string, error) {
					_, err := charger(&l)(ctx)
					return c.result, err
				})
				if !errors.Is(err, want) || err == nil && got != c.result {
					t.Errorf("Do = %q, %v, want %v", got, err, want)
				}
			}
			l.mustHold(t, c.runs, c.rows)
		})
	}
}

// Behaviour 13.
func TestDoRecordOfAnotherTypeIsUnreadable(t *testing.T) {
	t.Parallel()
	var seen events
	cfg := idem.DoConfig{Store: newMemory(t), Observer: seen.observe}
	if _, err := idem.Do(t.Context(), cfg, "k", nil, func(context.Context) (string, error) { return "text", nil }); err != nil {
		t.Fatal(err)
	}
	never := func(context.Context) (int, error) {
		t.Error("the function ran")
		return 0, nil
	}
	if _, err := idem.Do(t.Context(), cfg, "k", nil, never); !errors.Is(err, idem.ErrRecordUnreadable) {
		t.Errorf("Do = %v", err)
	}
	if e := seen.wait(t, 2)[1]; e.Outcome != "record-unreadable" {
		t.Errorf("event %+v", e)
	}
}

type xmlCodec struct{}

func (xmlCodec) Name() string                       { return "xml" }
func (xmlCodec) Marshal(v any) ([]byte, error)      { return xml.Marshal(v) }
func (xmlCodec) Unmarshal(data []byte, v any) error { return xml.Unmarshal(data, v) }

// newerCodec could read the older records, but says that it cannot.
type newerCodec struct{ xmlCodec }

func (newerCodec) Name() string { return "xml/2" }

func TestDoCodec(t *testing.T) {
	t.Parallel()
	var l ledger
	store := newMemory(t)
	cfg := idem.DoConfig{Store: store, Codec: xmlCodec{}}
	for range 2 {
		if got, err := idem.Do(t.Context(), cfg, "k", nil, charger(&l)); err != nil || got.ID != 1 {
			t.Errorf("Do = %+v, %v", got, err)
		}
	}
	cfg.Codec = newerCodec{}
	if _, err := idem.Do(t.Context(), cfg, "k", nil, charger(&l)); !errors.Is(err, idem.ErrRecordUnreadable) {
		t.Errorf("record of another codec: %v", err)
	}
	l.mustHold(t, 1, 1)
}
