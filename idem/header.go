package idem

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// neverStored names the headers that belong to one answer or one connection
// and would be wrong, or would give something away, in another one.
var neverStored = map[string]bool{
	// Whoever knows a key must not get the session of the first caller.
	"Set-Cookie":                true,
	"Www-Authenticate":          true,
	"Authentication-Info":       true,
	"Proxy-Authenticate":        true,
	"Proxy-Authentication-Info": true,
	// Made anew for each answer.
	"Date":           true,
	"Content-Length": true,
	// Hop by hop.
	"Connection":        true,
	"Keep-Alive":        true,
	"Proxy-Connection":  true,
	"Te":                true,
	"Trailer":           true,
	"Transfer-Encoding": true,
	"Upgrade":           true,
	// A replay is traced by its own request, not by the first one.
	"B3":                    true,
	"Baggage":               true,
	"Server-Timing":         true,
	"Traceparent":           true,
	"Traceresponse":         true,
	"Tracestate":            true,
	"Uber-Trace-Id":         true,
	"X-Amzn-Trace-Id":       true,
	"X-Cloud-Trace-Context": true,
	"X-Correlation-Id":      true,
	"X-Request-Id":          true,
}

// neverStoredPrefixes name families: CORS depends on the origin that asks,
// traces on the request, and trailers have no place in a buffered replay.
var neverStoredPrefixes = []string{"Access-Control-", "X-B3-", http.TrailerPrefix}

// storable tells whether a header may be part of a record. name is canonical.
func storable(name string) bool {
	if neverStored[name] || !isToken(name) {
		return false
	}
	for _, prefix := range neverStoredPrefixes {
		if strings.HasPrefix(name, prefix) {
			return false
		}
	}
	return true
}

// cloneHeader returns a deep copy of h, with the values in room as long as there
// is any. Most fields have one value.
func cloneHeader(h http.Header, room []string) http.Header {
	if h == nil {
		return nil
	}
	clone := make(http.Header, len(h))
	room = slices.Grow(room, len(h))
	for name, values := range h {
		clone[name] = appendedTo(&room, values)
	}
	return clone
}

// storedHeader returns what a record keeps of h: a deep copy of the storable
// headers that differ from base. What base has set, an outer middleware sets
// for a replay too.
func storedHeader(base, h http.Header) http.Header {
	stored := make(http.Header, len(h))
	for _, name := range slices.Sorted(maps.Keys(h)) { // as net/http sends them
		values, canonical := h[name], http.CanonicalHeaderKey(name)
		if len(values) > 0 && storable(canonical) && !slices.Equal(base[name], values) {
			stored[canonical] = append(stored[canonical], values...)
		}
	}
	for name, values := range h {
		if http.CanonicalHeaderKey(name) == "Connection" {
			removeNamed(stored, values)
		}
	}
	return stored
}

// removeNamed removes the headers that a Connection header makes hop by hop.
func removeNamed(h http.Header, connection []string) {
	for _, value := range connection {
		for name := range strings.SplitSeq(value, ",") {
			h.Del(strings.TrimSpace(name))
		}
	}
}

// trailersOf returns the headers that the handler set as trailers: by prefix,
// or announced by a Trailer header before the body.
func trailersOf(sent, live http.Header) http.Header {
	var trailers http.Header
	add := func(name string) {
		if trailers == nil {
			trailers = make(http.Header)
		}
		if values, ok := live[name]; ok {
			trailers[name] = slices.Clone(values)
		}
	}
	for name := range live {
		if strings.HasPrefix(name, http.TrailerPrefix) {
			add(name)
		}
	}
	for _, value := range sent["Trailer"] {
		for name := range strings.SplitSeq(value, ",") {
			add(http.CanonicalHeaderKey(strings.TrimSpace(name)))
		}
	}
	return trailers
}

// setContentLength declares the length of a body that is known as a whole. A
// HEAD handler that wrote no body may have declared the length of the one that
// GET would send; that stands.
func setContentLength(h http.Header, method string, status, length int, room *[1]string) {
	_, coded := h["Transfer-Encoding"]
	if coded || !bodyAllowed(status) || method == http.MethodHead && length == 0 {
		return
	}
	room[0] = decimal(length)
	h["Content-Length"] = room[:]
}

// sniffContentType sets the Content-Type that net/http would find for itself.
// It must be in the record, or a replay could not be told from one whose
// handler suppressed it with a nil value.
func sniffContentType(h http.Header, status int, body []byte) {
	_, typed := h["Content-Type"]
	if typed || len(body) == 0 || !bodyAllowed(status) || h.Get("Content-Encoding") != "" {
		return
	}
	h["Content-Type"] = []string{http.DetectContentType(body)}
}

func bodyAllowed(status int) bool {
	return status >= 200 && status != http.StatusNoContent && status != http.StatusNotModified
}

// decimals are the numbers to 999, three digits each: the usual lengths of a
// body, which strconv would allocate.
var decimals = func() string {
	var b strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&b, "%03d", i)
	}
	return b.String()
}()

func decimal(n int) string {
	if n < 100 || n > 999 {
		return strconv.Itoa(n)
	}
	return decimals[3*n : 3*n+3]
}
