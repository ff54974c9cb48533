package redisstore

import (
	"encoding/binary"
	"errors"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/pgidem/pgidem/idem"
)

// Behaviour 13. Whatever Redis holds under a key is a lease, a response or
// unreadable: it never panics, and never passes for an empty response. What was
// written comes back as it was, and no part of it does.
func FuzzRecord(f *testing.F) {
	f.Add([]byte(recordOf('C', "hash", idem.Cached{Status: 201, Body: []byte("paid")})), "h", 200, "X-A", "v", []byte("b"), uint16(60))
	f.Add([]byte(recordOf('L', "hash", idem.Cached{})), "", 0, "", "", []byte(nil), uint16(0))
	f.Add([]byte(recordOf('R', "", idem.Cached{Status: 400}))[:58], "\xff", -1, "a", "\x00", []byte{0}, uint16(55))
	f.Add([]byte("\x02C"), "", 1<<40, "", "", []byte{}, uint16(9))
	f.Fuzz(func(t *testing.T, b []byte, hash string, status int, name, value string, body []byte, cut uint16) {
		found, err := held(reply{kind: replyHeld, text: string(b), number: int64(status)})
		if err != nil && !errors.Is(err, idem.ErrRecordUnreadable) {
			t.Fatalf("%q: %v", b, err)
		}
		if err == nil && (found.cached == nil) != (b[1] == stateLeased) {
			t.Fatalf("%q is %+v without an error", b, found)
		}
		want := idem.Cached{Status: status, Header: http.Header{name: {value}}, Body: body, RequestHash: hash}
		for _, state := range []byte{stateCompleted, stateRemembered} {
			whole := recordOf(state, hash, want)
			mustHold(t, whole, want)
			// Behind the header begins the body, where any end will do.
			short := whole[:int(cut)%(len(whole)-len(body))]
			if found, err := held(reply{kind: replyHeld, text: short}); err == nil {
				t.Fatalf("%d of %d bytes are %+v", len(short), len(whole), found)
			}
		}
	})
}

// recordOf is a record as the scripts and encodeCompleted write it.
func recordOf(state byte, hash string, c idem.Cached) string {
	b := []byte{version, state}
	b = binary.BigEndian.AppendUint64(b, 2_000_000)
	b = binary.BigEndian.AppendUint64(b, 1_000_000)
	attempt := strings.Repeat("i", headBytes-attemptOffset)
	if state == stateLeased {
		return string(appendHash(append(b, attempt...), hash))
	}
	completed := encodeCompleted(attempt, hash, c)
	if state == stateCompleted {
		return string(append(b, completed...))
	}
	b = binary.BigEndian.AppendUint64(append(b, attempt...), 3_000_000)
	return string(append(b, completed[len(attempt):]...))
}

func mustHold(t *testing.T, record string, want idem.Cached) {
	t.Helper()
	found, err := held(reply{kind: replyHeld, text: record})
	if err != nil {
		t.Fatalf("%+v: %v", want, err)
	}
	got := *found.cached
	if got.StoredAt.UnixMicro() != 1_000_000 || string(got.Body) != string(want.Body) {
		t.Fatalf("%+v came back as %+v", want, got)
	}
	got.StoredAt, got.Body, want.Body = want.StoredAt, nil, nil
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%+v came back as %+v", want, got)
	}
}
