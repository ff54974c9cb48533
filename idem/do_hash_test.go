package idem_test

import (
	"context"
	"errors"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/pgidem/pgidem/idem"
)

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

func (forgedStore) Reserve(_ context.Context, _, hash string, _ time.Duration) (*idem.Cached, bool, error) {
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
