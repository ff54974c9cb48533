// Package record encodes what the stores keep of a response header: compact,
// byte for byte, and marked with the version of the format.
package record

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"slices"
)

// Format is the version that EncodeHeader writes. A store keeps it beside the
// record and gives it back to DecodeHeader.
const Format = 1

// errCorrupt: the bytes are not a header of the format they claim.
var errCorrupt = errors.New("record: corrupt header")

// EncodeHeader writes h as: the number of names; for each name, in ascending
// order, the name, the number of its values, the values in their order. Numbers
// are unsigned varints, strings are preceded by their length. JSON would not do:
// a header value may hold bytes that are not UTF-8.
func EncodeHeader(h http.Header) []byte {
	names := make([]string, 0, len(h))
	size := binary.MaxVarintLen32
	for name, values := range h {
		names = append(names, name)
		size += len(name) + 2*binary.MaxVarintLen32
		for _, v := range values {
			size += len(v) + binary.MaxVarintLen32
		}
	}
	slices.Sort(names)
	b := binary.AppendUvarint(make([]byte, 0, size), uint64(len(names)))
	for _, name := range names {
		b = appendString(b, name)
		b = binary.AppendUvarint(b, uint64(len(h[name])))
		for _, v := range h[name] {
			b = appendString(b, v)
		}
	}
	return b
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// DecodeHeader is the inverse of EncodeHeader. Anything but the whole of a
// header in a known format is an error.
func DecodeHeader(format int, b []byte) (http.Header, error) {
	if format != Format {
		return nil, fmt.Errorf("%w: format %d is not known to this version", errCorrupt, format)
	}
	r := reader{all: string(b), rest: b}
	names := r.count()
	h := make(http.Header, names)
	values := make([]string, 0, names) // of all names: mostly each has one
	for range names {
		name, first, count := r.string(), len(values), r.count()
		values = slices.Grow(values, count)
		for range count {
			values = append(values, r.string())
		}
		h[name] = slices.Clip(values[first:])
	}
	switch {
	case r.failed:
		return nil, fmt.Errorf("%w: cut short", errCorrupt)
	case len(r.rest) > 0:
		return nil, fmt.Errorf("%w: %d bytes left over", errCorrupt, len(r.rest))
	case len(h) != names:
		return nil, fmt.Errorf("%w: a name stands twice", errCorrupt)
	}
	return h, nil
}

// reader takes an encoded header apart. After a failure it returns only zeros,
// so that the caller checks once, at the end. The strings that it returns are parts
// of all, and share its memory.
type reader struct {
	all    string
	rest   []byte // the end of it that is left
	failed bool
}

// count returns a number of things that follow. Each takes a byte at least, so
// a greater number than there are bytes left is corrupt, and never allocated. So
// is a number in more bytes than it needs, which EncodeHeader never writes.
func (r *reader) count() int {
	n, size := binary.Uvarint(r.rest)
	if size <= 0 || n > uint64(len(r.rest)-size) || size > 1 && r.rest[size-1] == 0 {
		r.fail()
		return 0
	}
	r.rest = r.rest[size:]
	return int(n) //nolint:gosec // bounded by the length of a slice just above
}

func (r *reader) string() string {
	n := r.count()
	at := len(r.all) - len(r.rest)
	r.rest = r.rest[n:]
	return r.all[at : at+n]
}

func (r *reader) fail() {
	r.failed, r.rest = true, nil
}
