package idem

import (
	"net/http"
	"slices"
)

// frozenHeader is a header as it was at one moment. If that is of usual size the
// copy costs no memory, and it is walked over in a fraction of a map's time.
type frozenHeader struct {
	fields []frozenField

	roomFields [3]frozenField
	roomValues [3]string
}

type frozenField struct {
	name   string
	values []string
}

// freeze keeps a deep copy of h.
func (f *frozenHeader) freeze(h http.Header) {
	f.fields = slices.Grow(f.roomFields[:0], len(h))
	room := f.roomValues[:0]
	for name, values := range h {
		f.fields = append(f.fields, frozenField{name, appendedTo(&room, values)})
	}
}

// header returns what was frozen.
func (f *frozenHeader) header() http.Header {
	h := make(http.Header, len(f.fields))
	f.setIn(h)
	return h
}

// setIn sets in h what was frozen.
func (f *frozenHeader) setIn(h http.Header) {
	for i := range f.fields {
		h[f.fields[i].name] = f.fields[i].values
	}
}

// whollyStorable tells whether a record keeps all of it, as it is.
func (f *frozenHeader) whollyStorable() bool {
	for i := range f.fields {
		name := f.fields[i].name
		if len(f.fields[i].values) == 0 {
			return false
		}
		if !usual(name) && (http.CanonicalHeaderKey(name) != name || !storable(name)) {
			return false
		}
	}
	return true
}

// hasNamesOf tells whether h has the names that were frozen, and no other. To look
// for them takes a fraction of the time in which a small map is walked over.
func (f *frozenHeader) hasNamesOf(h http.Header) bool {
	if len(h) != len(f.fields) {
		return false
	}
	for i := range f.fields {
		if _, ok := h[f.fields[i].name]; !ok {
			return false
		}
	}
	return true
}

// usual tells whether name is canonical and storable as hardly a response is
// without it: that needs no closer look.
func usual(name string) bool {
	switch name {
	case "Content-Type", "Location", "Cache-Control", "Etag":
		return true
	}
	return false
}

// appendedTo appends values to room and returns them where they are there; nil
// stays nil, by which net/http is told to leave a header out.
func appendedTo(room *[]string, values []string) []string {
	if values == nil {
		return nil
	}
	first := len(*room)
	*room = append(*room, values...)
	return (*room)[first:len(*room):len(*room)]
}
