package idem

import (
	"net/http"
	"reflect"
	"strings"
	"testing"
)

// forbidden are names that no record may hold, whatever their case.
var forbidden = strings.Fields(`set-cookie www-authenticate proxy-authenticate authentication-info
	proxy-authentication-info date content-length connection keep-alive proxy-connection te trailer
	transfer-encoding upgrade traceparent tracestate traceresponse b3 baggage x-request-id server-timing`)

var forbiddenFamilies = []string{"access-control-", "x-b3-", "trailer:"}

func isForbidden(name string) bool {
	name = strings.ToLower(name)
	for _, f := range forbidden {
		if name == f {
			return true
		}
	}
	for _, f := range forbiddenFamilies {
		if strings.HasPrefix(name, f) {
			return true
		}
	}
	return false
}

// Behaviours 30, 36. Nothing forbidden is ever stored, in whatever case it was
// written, nor what Connection names; the rest is, as it was; and of what is
// stored everything would be stored again.
func FuzzStoredHeader(f *testing.F) {
	f.Add("Location", "/payments/1", "X-Other", "", "Connection", "")
	f.Add("set-cookie", "session=1", "SET-COOKIE", "a", "Connection", "close")
	f.Add("X-Hop", "1", "x-hop", "2", "connection", "close, x-hop")
	f.Add("Trailer:X-Sum", "1", "Www-authenticate", "", "CONNECTION", "keep-alive")
	f.Add("access-control-allow-origin", "*", "x-B3-sampled", "1", "Connection", ",,")
	f.Add("a b", "1", "\xff", "", "Connection", "\x00")
	f.Fuzz(func(t *testing.T, name1, value1, name2, value2, connection, hops string) {
		h := http.Header{name1: {value1}}
		h[name2] = append(h[name2], value2)
		if strings.EqualFold(connection, "connection") && hops != "" {
			h[connection] = append(h[connection], hops)
		}
		stored := storedHeader(http.Header{}, h)
		for name := range stored {
			if isForbidden(name) || isNamed(h, name) {
				t.Fatalf("of %q it keeps %q", h, name)
			}
		}
		for name, values := range h {
			canonical := http.CanonicalHeaderKey(name)
			if !isToken(name) || isForbidden(name) || isNamed(h, name) {
				continue
			}
			if !strings.Contains(strings.Join(stored[canonical], "\x00"), strings.Join(values, "\x00")) {
				t.Fatalf("of %q it keeps %q: %q is missing", h, stored, name)
			}
		}
		if again := storedHeader(http.Header{}, stored); !reflect.DeepEqual(again, stored) {
			t.Fatalf("of %q, stored, it keeps %q", stored, again)
		}
		if unchanged := storedHeader(h, h); len(unchanged) != 0 {
			t.Fatalf("it keeps %q, which the handler did not change", unchanged)
		}
	})
}

// isNamed tells whether a Connection header, in whatever case, names name.
func isNamed(h http.Header, name string) bool {
	for connection, values := range h {
		if !strings.EqualFold(connection, "connection") {
			continue
		}
		for hop := range strings.SplitSeq(strings.Join(values, ","), ",") {
			if strings.EqualFold(strings.TrimSpace(hop), name) {
				return true
			}
		}
	}
	return false
}
