package memory

import (
	"net/http"
	"slices"
)

// keptHeader is a copy of a header as a record keeps it. A map in each record
// would take several times the memory.
type keptHeader struct {
	fields []keptField // nil if the header was
	count  int         // of all values

	// Room for a header of usual size.
	roomFields [3]keptField
	roomValues [3]string
}

type keptField struct {
	name   string
	values []string
}

// set copies h, once. It walks over the map only once too: that costs more than
// the copies of a usual header.
func (k *keptHeader) set(h http.Header) {
	if h == nil {
		return
	}
	k.fields = slices.Grow(k.roomFields[:0], len(h))
	for name, values := range h {
		k.count += len(values)
		k.fields = append(k.fields, keptField{name, values})
	}
	all := slices.Grow(k.roomValues[:0], k.count)
	for i := range k.fields {
		f := &k.fields[i]
		f.values = appended(&all, f.values)
	}
}

// bytes estimates the memory that the header takes.
func (k *keptHeader) bytes() (size int64) {
	for _, f := range k.fields {
		size += fieldBytes + int64(len(f.name))
		for _, value := range f.values {
			size += valueBytes + int64(len(value))
		}
	}
	return size
}

// header returns the caller's own copy.
func (k *keptHeader) header() http.Header {
	if k.fields == nil {
		return nil
	}
	all := make([]string, 0, k.count)
	h := make(http.Header, len(k.fields))
	for _, f := range k.fields {
		h[f.name] = appended(&all, f.values)
	}
	return h
}

// appended appends values to all, which has room for them, and returns them
// where they are there. nil stays nil.
func appended(all *[]string, values []string) []string {
	if values == nil {
		return nil
	}
	first := len(*all)
	*all = append(*all, values...)
	return (*all)[first:len(*all):len(*all)]
}
