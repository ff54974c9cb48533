package idem

import (
	"net/http"
	"reflect"
	"testing"
)

// Behaviours 30, 36.
func TestStoredHeader(t *testing.T) {
	t.Parallel()
	base := http.Header{
		"X-Frame-Options": {"DENY"},
		"Vary":            {"Origin"},
		"X-Request-Id":    {"1"},
	}
	h := base.Clone()
	for name, values := range map[string][]string{
		"Location":                     {"/payments/1"},
		"Vary":                         {"Origin", "Accept"},
		"X-Many":                       {"b", "a", "b"},
		"x-raw-case":                   {"kept"},
		"Content-Type":                 {"text/plain"},
		"Content-Encoding":             {"gzip"},
		"Etag":                         {`"1"`},
		"X-Empty":                      {""},
		"X-Nil":                        nil,
		"Set-Cookie":                   {"session=1"},
		"set-cookie":                   {"session=2"},
		"Www-Authenticate":             {"Basic"},
		"Proxy-Authenticate":           {"Basic"},
		"Proxy-Authentication-Info":    {"x"},
		"Authentication-Info":          {"x"},
		"Date":                         {"now"},
		"Content-Length":               {"3"},
		"Connection":                   {"close, X-Hop", "x-other-hop"},
		"X-Hop":                        {"1"},
		"X-Other-Hop":                  {"1"},
		"Keep-Alive":                   {"1"},
		"Proxy-Connection":             {"1"},
		"Te":                           {"1"},
		"Trailer":                      {"X-Sum"},
		"Transfer-Encoding":            {"chunked"},
		"Upgrade":                      {"h2c"},
		http.TrailerPrefix + "X-Sum":   {"1"},
		"Access-Control-Allow-Origin":  {"https://example.com"},
		"Access-Control-Allow-Methods": {"POST"},
		"Traceparent":                  {"00-1-1-00"},
		"Tracestate":                   {"a=1"},
		"B3":                           {"0"},
		"X-B3-Traceid":                 {"1"},
		"Server-Timing":                {"db;dur=1"},
		"X-Request-Id":                 {"2"},
		"Not A Token":                  {"1"},
	} {
		h[name] = values
	}
	want := http.Header{
		"Location":         {"/payments/1"},
		"Vary":             {"Origin", "Accept"},
		"X-Many":           {"b", "a", "b"},
		"X-Raw-Case":       {"kept"},
		"Content-Type":     {"text/plain"},
		"Content-Encoding": {"gzip"},
		"Etag":             {`"1"`},
		"X-Empty":          {""},
	}
	got := storedHeader(base, h)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("stored\n %v, want\n %v", got, want)
	}
	got["X-Many"][0] = "changed"
	if h["X-Many"][0] != "b" {
		t.Error("the stored header shares memory with the response")
	}
}
