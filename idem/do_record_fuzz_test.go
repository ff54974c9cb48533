package idem

import (
	"errors"
	"net/http"
	"reflect"
	"testing"
)

type receipt struct {
	ID     string
	Amount int64
	Notes  []string
	Raw    []byte
}

// Behaviour 13. A record of Do, whatever stands in it, is a result, an error
// that was kept, or unreadable; and what was written is read as it was.
func FuzzDoRecord(f *testing.F) {
	f.Add(statusResult, "json", []byte(`{"ID":"1","Amount":2,"Raw":"AA=="}`), "text", int64(1))
	f.Add(statusPermanent, "", []byte(`{"code":"declined","message":"no"}`), "\xff\x00", int64(-1))
	f.Add(statusNotKept, "", []byte(nil), "", int64(0))
	f.Add(200, "gob", []byte("{}"), "\u2028", int64(1)<<62)
	f.Fuzz(func(t *testing.T, status int, codec string, body []byte, text string, amount int64) {
		c := &call{config: DoConfig{Codec: jsonCodec{}}, blank: func() any { return new(receipt) }}
		result, err := c.read(Cached{Status: status, Header: http.Header{codecHeader: {codec}}, Body: body})
		var permanent *PermanentError
		switch got, isReceipt := result.(*receipt); {
		case err == nil && (!isReceipt || got == nil || status != statusResult || codec != "json"):
			t.Fatalf("status %d, codec %q: %v without an error", status, codec, result)
		case err != nil && (result != nil || !errors.Is(err, ErrRecordUnreadable) && !errors.Is(err, ErrResultNotKept) && !errors.As(err, &permanent)):
			t.Fatalf("status %d: %v with error %v", status, result, err)
		}
		c.mustKeep(t, &receipt{ID: text, Amount: amount, Notes: []string{text, ""}, Raw: body})
		kept := &PermanentError{Code: text, Message: string(body)}
		if _, err := c.read(recordPermanent(kept)); !errors.As(err, &permanent) ||
			*permanent != (PermanentError{Code: jsonText(text), Message: jsonText(string(body))}) {
			t.Fatalf("%#v came back as %#v", kept, err)
		}
	})
}

// mustKeep writes a result and reads it: it is as JSON can hold it, and the same
// for the first call as for a replay.
func (c *call) mustKeep(t *testing.T, r *receipt) {
	t.Helper()
	record, first, err := c.encode(r)
	if err != nil {
		t.Fatalf("%#v: %v", r, err)
	}
	replayed, err := c.read(record)
	if err != nil || !reflect.DeepEqual(replayed, first) {
		t.Fatalf("first %#v, replayed %#v, %v", first, replayed, err)
	}
	want := &receipt{ID: jsonText(r.ID), Amount: r.Amount, Notes: []string{jsonText(r.Notes[0]), ""}, Raw: r.Raw}
	if !reflect.DeepEqual(first, want) {
		t.Fatalf("%#v came back as %#v", want, first)
	}
}
