package record

import (
	"errors"
	"net/http"
	"reflect"
	"testing"
)

// Behaviour 13. Whatever is decoded without an error is encoded again to
// something that decodes to the same, and corrupt bytes neither panic nor pass
// for an empty header.
func FuzzDecodeHeader(f *testing.F) {
	f.Add(EncodeHeader(nil))
	f.Add(EncodeHeader(http.Header{"A": {"1", ""}, "B": {}}))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Add([]byte{})
	f.Add([]byte{0x80, 0x00}) // 0 in two bytes
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := DecodeHeader(Format, b)
		if err != nil {
			if h != nil || !errors.Is(err, errCorrupt) {
				t.Fatalf("decoded as %v, %v", h, err)
			}
			return
		}
		if h == nil || len(h) == 0 && (len(b) == 0 || b[0] != 0) {
			t.Fatalf("%x is %v without an error", b, h)
		}
		whole := EncodeHeader(h)
		again, err := DecodeHeader(Format, whole)
		if err != nil || !reflect.DeepEqual(again, h) || len(whole) != len(b) {
			t.Fatalf("%x is %q, which is encoded as %x and comes back as %q, %v", b, h, whole, again, err)
		}
	})
}

// Behaviour 4. A header comes back as it was, and no part of it does.
func FuzzHeader(f *testing.F) {
	f.Add("Content-Type", "text/plain", "Link", "a", "b", uint16(3))
	f.Add("", "\xff", "", "", "\x00", uint16(0))
	f.Fuzz(func(t *testing.T, name1, value1, name2, value2, value3 string, cut uint16) {
		h := http.Header{name1: {value1}}
		h[name2] = append(h[name2], value2, value3)
		b := EncodeHeader(h)
		got, err := DecodeHeader(Format, b)
		if err != nil || !reflect.DeepEqual(got, h) {
			t.Fatalf("%q came back as %q, %v", h, got, err)
		}
		short := b[:int(cut)%len(b)]
		if got, err := DecodeHeader(Format, short); err == nil {
			t.Fatalf("cut after %d of %d bytes, %q came back as %q", len(short), len(b), h, got)
		}
	})
}
