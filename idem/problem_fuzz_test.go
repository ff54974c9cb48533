package idem

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

// Behaviour 32. Whatever has gone wrong, and whatever text comes with it, the
// answer is a problem document of RFC 9457, and only what the client has caused
// itself is told in it.
func FuzzProblem(f *testing.F) {
	f.Add(uint8(0), uint8(1), "", true)
	f.Add(uint8(2), uint8(2), "relation \"ledger\" does not exist", false)
	f.Add(uint8(5), uint8(9), "\x00\x1f\x7f\r\nSet-Cookie: a=b", true)
	f.Add(uint8(7), uint8(3), "</script>\u2028\xff\\\"", true)
	kinds := slices.Sorted(maps.Keys(problems))
	f.Fuzz(func(t *testing.T, first, second uint8, text string, told bool) {
		// Internal texts carry a word that the documents do not have.
		err := fmt.Errorf("%w: %w: hunter2 %s", problems[kinds[int(first)%len(kinds)]].err, problems[kinds[int(second)%len(kinds)]].err, text)
		if told {
			err = refuse(err, "%s", text)
		}
		w := httptest.NewRecorder()
		WriteProblem(w, nil, err)
		var p Problem
		body := w.Body.Bytes()
		if err := json.Unmarshal(body, &p); err != nil || !utf8.Valid(body) {
			t.Fatalf("no JSON: %v: %q", err, body)
		}
		if i := slices.IndexFunc(body[:len(body)-1], func(b byte) bool { return b < 0x20 || b == 0x7f && !told }); i >= 0 {
			t.Fatalf("the byte %#x in %q", body[i], body)
		}
		switch name, isOurs := strings.CutPrefix(p.Type, ProblemTypeBase); {
		case !isOurs || name == "" || p.Title == "" || p.Status != w.Code || p.Status < 400 || p.Status > 599:
			t.Fatalf("status %d and %q", w.Code, body)
		case strings.Contains(w.Body.String(), "hunter2") && !strings.Contains(text, "hunter2"):
			t.Fatalf("it tells %q", body)
		case p.Status >= 500 && len(text) > 20 && p.Detail == jsonText(text):
			t.Fatalf("it tells %q", body)
		case name == "scope-denied" && p.Detail != "": // what Config.Scope says is not the client's
			t.Fatalf("it tells %q", body)
		case name != "scope-denied" && p.Status < 500 && told && p.Detail != jsonText(text):
			t.Fatalf("the client is told %q, want %q", p.Detail, text)
		}
		if got := w.Header().Get("Content-Type"); got != "application/problem+json" {
			t.Fatalf("Content-Type is %q", got)
		}
		if after := w.Header().Get("Retry-After"); after != "" {
			if n, err := strconv.Atoi(after); err != nil || n < 1 {
				t.Fatalf("Retry-After is %q", after)
			}
		}
	})
}

// jsonText is text as JSON can hold it.
func jsonText(text string) string {
	var b strings.Builder
	for _, r := range text { // a byte that is no UTF-8 gives U+FFFD
		b.WriteRune(r)
	}
	return b.String()
}
