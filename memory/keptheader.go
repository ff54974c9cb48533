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

// set copies h, once.
func (k *keptHeader) set(h http.Header) {
	if h == nil {
		return
	}
	for _, values := range h {
		k.count += len(values)
	}
	all := slices.Grow(k.roomValues[:0], k.count)
	k.fields = slices.Grow(k.roomFields[:0], len(h))
	for name, values := range h {
		k.fields = append(k.fields, keptField{name, appended(&all, values)})
	}
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
