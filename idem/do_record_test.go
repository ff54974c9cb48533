package idem_test

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

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
	cfg.Codec = nil
	if _, err := idem.Do(t.Context(), cfg, "k", nil, charger(&l)); !errors.Is(err, idem.ErrRecordUnreadable) {
		t.Errorf("record of another codec: %v", err)
	}
	l.mustHold(t, 1, 1)
}

// A record of RESTMiddleware under the key is not taken for one of Do, nor the
// other way round, whatever the hashes are made of.
func TestDoAndRESTMiddlewareRefuseEachOthersRecords(t *testing.T) {
	t.Parallel()
	store := newMemory(t)
	var l ledger
	h := idem.RESTMiddleware(idem.Config{Store: store, RequestHash: fixedHash})(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		l.runs.Add(1)
		io.WriteString(w, `{"ID":7}`) //nolint:errcheck // recorded
	}))
	post := func(key string) int {
		r := httptest.NewRequest("POST", "/", strings.NewReader(""))
		r.Header.Set("Idempotency-Key", key)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code
	}
	do := func(key string) error {
		_, err := idem.Do(t.Context(), idem.DoConfig{Store: store}, key, idem.RequestHash("fixed"), charger(&l))
		return err
	}
	if status, err := post("rest"), do("rest"); status != 200 || !errors.Is(err, idem.ErrHashMismatch) {
		t.Errorf("REST first: %d, then %v", status, err)
	}
	if err, status := do("do"), post("do"); err != nil || status != 422 {
		t.Errorf("Do first: %v, then %d", err, status)
	}
	l.mustHold(t, 2, 1)
}

// forgedStore pretends that every record has the caller's hash.
type forgedStore struct{ idem.Store }

func (s forgedStore) Reserve(ctx context.Context, key, hash string, ttl time.Duration) (*idem.Cached, bool, error) {
	return &idem.Cached{Status: 200, Body: []byte(`{"ID":7}`), RequestHash: hash}, false, nil
}

func TestDoTakesNoResponseForAResult(t *testing.T) {
	t.Parallel()
	_, err := idem.Do(t.Context(), idem.DoConfig{Store: forgedStore{}}, "k", nil, charger(&ledger{}))
	if !errors.Is(err, idem.ErrRecordUnreadable) {
		t.Errorf("Do = %v", err)
	}
}

func TestDoRequestHash(t *testing.T) {
	t.Parallel()
	type hidden struct{ a int }
	one, two := 1, 2
	for name, c := range map[string]struct {
		a, b any
		same bool
	}{
		"EqualStructs":      {aCharge, charge{"acct_1", 1250}, true},
		"PointerOrValue":    {aCharge, &aCharge, true},
		"MapsInAnyOrder":    {map[string]int{"a": 1, "b": 2}, map[string]int{"b": 2, "a": 1}, true},
		"Nil":               {nil, nil, true},
		"OtherValues":       {aCharge, charge{"acct_2", 1250}, false},
		"PointersToOthers":  {&one, &two, false},
		"MethodsOnPointers": {*big.NewInt(1), *big.NewInt(2), false},
		"Given":             {idem.RequestHash("a"), idem.RequestHash("a"), true},
		"GivenOthers":       {idem.RequestHash("a"), idem.RequestHash("b"), false},
		"GivenOrEncoded":    {idem.RequestHash(`"a"`), "a", false},
		"EmptyStruct":       {struct{}{}, struct{}{}, true},
		"NothingButHidden":  {hidden{1}, hidden{2}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var l ledger
			cfg := idem.DoConfig{Store: newMemory(t)}
			_, errA := idem.Do(t.Context(), cfg, "k", c.a, charger(&l))
			_, errB := idem.Do(t.Context(), cfg, "k", c.b, charger(&l))
			if name == "NothingButHidden" {
				if !errors.Is(errA, idem.ErrRequestUnreadable) || l.runs.Load() != 0 {
					t.Errorf("Do = %v after %d runs", errA, l.runs.Load())
				}
				return
			}
			if errA != nil || (errB == nil) != c.same || errB != nil && !errors.Is(errB, idem.ErrHashMismatch) {
				t.Errorf("%v, %v", errA, errB)
			}
		})
	}
}

func TestDoRequestThatCannotBeEncoded(t *testing.T) {
	t.Parallel()
	var l ledger
	store := hookedStore{Store: newMemory(t), reserve: neverReserve(t)}
	_, err := idem.Do(t.Context(), idem.DoConfig{Store: store}, "k", make(chan int), charger(&l))
	if !errors.Is(err, idem.ErrRequestUnreadable) {
		t.Errorf("Do = %v", err)
	}
	l.mustHold(t, 0, 0)
}
