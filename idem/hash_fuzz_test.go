package idem

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"
)

// Behaviour 32. Requests hash alike only if they are alike: no byte can move
// from one part of a request to the next.
func FuzzRequestHash(f *testing.F) {
	f.Add("POST", "/a", "b", "c", "POST", "/ab", "", "c")
	f.Add("POST", "/a", "", "xy", "POST", "/a", "x", "y")
	f.Add("PUT", "/a?q", "", "", "PUT", "/a", "q", "")
	f.Add("POST", "/a", "b", "\x00\x00\x00\x00\x00\x00\x00\x01", "POST", "/a", "b", "")
	f.Add("POST", "/a", "", strings.Repeat("\x00", 16), "POST", "/a", strings.Repeat("\x00", 15)+"\x10", "")
	f.Add("POST", "/a", "", "\xff", "POST", "/a", "", "\xfe")
	f.Add("POST", "/a", "", "\xff", "POST", "/a", "", "\ufffd")
	f.Fuzz(func(t *testing.T, method1, path1, query1, body1, method2, path2, query2, body2 string) {
		one, ok1 := target(path1, query1)
		two, ok2 := target(path2, query2)
		if !ok1 || !ok2 {
			return
		}
		hash1 := hashRequest(&http.Request{Method: method1, RequestURI: one}, "", []byte(body1))
		hash2 := hashRequest(&http.Request{Method: method2, RequestURI: two}, "", []byte(body2))
		same := method1 == method2 && escaped(path1) == escaped(path2) && query1 == query2 && body1 == body2
		if same != (hash1 == hash2) {
			t.Fatalf("%q %q %q and %q %q %q: %s, %s", method1, one, body1, method2, two, body2, hash1, hash2)
		}
		given1, err1 := hashDoRequest(RequestHash(body1))
		given2, err2 := hashDoRequest(RequestHash(body2))
		if err1 != nil || err2 != nil || (given1 == given2) != (body1 == body2) {
			t.Fatalf("given to Do, %q and %q hash to %s, %s: %v, %v", body1, body2, given1, given2, err1, err2)
		}
		string1, err1 := hashDoRequest(body1)
		string2, err2 := hashDoRequest(body2)
		if err1 != nil || err2 != nil || (string1 == string2) != (body1 == body2) {
			t.Fatalf("for Do, %q and %q hash to %s, %s: %v, %v", body1, body2, string1, string2, err1, err2)
		}
		inside1, err1 := hashDoRequest([]string{body1})
		inside2, err2 := hashDoRequest([]string{body2})
		if (err1 == nil) != utf8.ValidString(body1) || err1 == nil && err2 == nil && (inside1 == inside2) != (body1 == body2) {
			t.Fatalf("for Do, lists of %q and %q hash to %s, %s: %v, %v", body1, body2, inside1, inside2, err1, err2)
		}
		if plain := storableHash(body1); storableHash(plain) != plain || (plain == storableHash(body2)) != (body1 == body2) {
			t.Fatalf("custom hashes %q and %q are kept as %q and %q", body1, body2, plain, storableHash(body2))
		}
	})
}

func escaped(path string) string { return (&url.URL{Path: path}).EscapedPath() }

// target is the request target of a path and a query, as a server reads it.
func target(path, query string) (uri string, ok bool) {
	if path == "" || path[0] != '/' {
		return "", false
	}
	uri = escaped(path)
	if query != "" {
		uri += "?" + query
	}
	return uri, true
}
