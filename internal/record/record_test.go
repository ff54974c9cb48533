package record

import (
	"bytes"
	"errors"
	"math"
	"net/http"
	"reflect"
	"testing"
)

func TestHeaderComesBackAsItWas(t *testing.T) {
	t.Parallel()
	for name, h := range map[string]http.Header{
		"empty":       {},
		"one":         {"Content-Type": {"application/json"}},
		"order":       {"Link": {"b", "a", "c", "a"}},
		"no values":   {"X-None": {}, "X-Some": {""}},
		"any bytes":   {"X": {"\x00\xff\x80\r\n", "日本"}},
		"long":        {"X": {string(bytes.Repeat([]byte("x"), 1<<16))}},
		"odd names":   {"": {"empty"}, "lower": {"kept"}, "\xff": {"not utf-8"}},
		"many values": {"X": make([]string, 300)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := DecodeHeader(Format, EncodeHeader(h))
			if err != nil || !reflect.DeepEqual(got, h) {
				t.Errorf("came back as %q, %v; want %q", got, err, h)
			}
		})
	}
	if got, err := DecodeHeader(Format, EncodeHeader(nil)); err != nil || len(got) != 0 || got == nil {
		t.Errorf("nil came back as %v, %v; want an empty header", got, err)
	}
}

func TestEncodingIsTheSameEachTime(t *testing.T) {
	t.Parallel()
	h := http.Header{}
	for _, name := range []string{"C", "A", "B", "Z", "Y", "X"} {
		h.Set(name, name)
	}
	want := EncodeHeader(h)
	for range 20 {
		if got := EncodeHeader(h.Clone()); !bytes.Equal(got, want) {
			t.Fatalf("encoded as %q and as %q", want, got)
		}
	}
}

// Behaviour 13. These bytes lie in databases: they are read for ever.
func TestFormatOneStaysReadable(t *testing.T) {
	t.Parallel()
	stored := []byte("\x03" +
		"\x0cContent-Type\x01\x10application/json" +
		"\x04Link\x02\x01b\x01a" +
		"\x06X-None\x00")
	want := http.Header{"Content-Type": {"application/json"}, "Link": {"b", "a"}, "X-None": {}}
	got, err := DecodeHeader(1, stored)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("format 1 decoded as %v, %v; want %v", got, err, want)
	}
	if b := EncodeHeader(want); Format == 1 && !bytes.Equal(b, stored) {
		t.Errorf("format 1 is now encoded as %q, want %q: a changed encoding needs a new format", b, stored)
	}
}

// Behaviour 13.
func TestCorruptHeaderIsAnError(t *testing.T) {
	t.Parallel()
	good := EncodeHeader(http.Header{"A": {"1", "22"}, "Bc": {"3"}})
	huge := []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01}
	corrupt := map[string][]byte{
		"nothing":            {},
		"nil":                nil,
		"left over":          append(bytes.Clone(good), 0),
		"endless number":     bytes.Repeat([]byte{0xff}, 11),
		"more than there is": huge,
		"long name":          append([]byte{1}, huge...),
		"many values":        append([]byte{1, 1, 'A'}, huge...),
		"long value":         append([]byte{1, 1, 'A', 1}, huge...),
		"name twice":         {2, 1, 'A', 1, 1, 'x', 1, 'A', 1, 1, 'y'},
		"no names":           {9, 0, 0, 0},
	}
	for cut := range good {
		corrupt["cut at "+string(rune('a'+cut))] = good[:cut]
	}
	for name, b := range corrupt {
		if h, err := DecodeHeader(Format, b); !errors.Is(err, errCorrupt) || h != nil {
			t.Errorf("%s: decoded as %v, %v; want errCorrupt", name, h, err)
		}
	}
}

// Behaviour 13.
func TestUnknownFormatIsAnError(t *testing.T) {
	t.Parallel()
	good := EncodeHeader(http.Header{"A": {"1"}})
	for _, format := range []int{0, -1, Format + 1, math.MaxInt16} {
		if h, err := DecodeHeader(format, good); !errors.Is(err, errCorrupt) || h != nil {
			t.Errorf("format %d: decoded as %v, %v; want errCorrupt", format, h, err)
		}
	}
}
