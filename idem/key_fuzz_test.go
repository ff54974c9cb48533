package idem

import (
	"errors"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// The two forms of a key, written once more: a String of RFC 8941, and raw.
var (
	quotedForm = regexp.MustCompile(`^"((?:[\x20-\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"$`)
	rawForm    = regexp.MustCompile(`^[\x21\x23-\x2b\x2d-\x7e]+$`)
	escapes    = regexp.MustCompile(`\\(.)`)
)

// wantedKey is the key that value should be; "" if it is invalid.
func wantedKey(value string) string {
	value = strings.Trim(value, " \t")
	key := ""
	if m := quotedForm.FindStringSubmatch(value); m != nil {
		key = escapes.ReplaceAllString(m[1], "$1")
	} else if rawForm.MatchString(value) {
		key = value
	}
	if len(key) > 255 {
		return ""
	}
	return key
}

// quoteKey serializes a key as a String of RFC 8941.
func quoteKey(key string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(key) + `"`
}

// Behaviour 31. Whatever a header holds, it is read as the grammar says; and
// what was read is the same key in each of its forms.
func FuzzKeyHeader(f *testing.F) {
	for _, c := range keyGrammar {
		f.Add(c.value, "", false)
	}
	f.Add("a", "b", true)
	f.Fuzz(func(t *testing.T, value, second string, twice bool) {
		h := http.Header{"Idempotency-Key": {value}}
		want := wantedKey(value)
		if twice {
			h.Add("Idempotency-Key", second)
			want = ""
		}
		key, present, err := keyFromHeader(h, "Idempotency-Key")
		switch {
		case key != want || !present:
			t.Fatalf("%q is the key %q, present %v; want %q", h, key, present, want)
		case (want == "") != errors.Is(err, ErrKeyInvalid) || want != "" && err != nil:
			t.Fatalf("%q: key %q with error %v", h, key, err)
		case err != nil:
			return
		}
		if err := ValidateKey(key); err != nil {
			t.Fatalf("%q: no Store takes it: %v", key, err)
		}
		if again, err := parseKey(quoteKey(key)); err != nil || again != key {
			t.Fatalf("%q: quoted it is %q, %v", key, again, err)
		}
		if rawForm.MatchString(key) {
			if again, err := parseKey(" " + key + "\t"); err != nil || again != key {
				t.Fatalf("%q: raw it is %q, %v", key, again, err)
			}
		}
	})
}

// Behaviour 33. Two keys that a Store keeps are equal only if scope and key are.
func FuzzStoredKey(f *testing.F) {
	f.Add("a", "b", true, "a\x1fb", "", false)
	f.Add("tenant", "key", true, "tenan", "tkey", true)
	f.Add("", "tenant\x1fkey", false, "tenant", "key", true)
	f.Add("ü", "k", true, "\xff", "k", true)
	f.Add("a\x1fb", "c", true, "a", "b\x1fc", true)
	f.Fuzz(func(t *testing.T, scope1, value1 string, scoped1 bool, scope2, value2 string, scoped2 bool) {
		one, ok1 := storedOf(t, scope1, value1, scoped1)
		two, ok2 := storedOf(t, scope2, value2, scoped2)
		if !ok1 || !ok2 || one != two {
			return
		}
		same := scoped1 == scoped2 && (!scoped1 || scope1 == scope2)
		if !same || wantedKey(value1) != wantedKey(value2) {
			t.Fatalf("(%q, %q, %v) and (%q, %q, %v) are both kept as %q",
				scope1, value1, scoped1, scope2, value2, scoped2, one)
		}
	})
}

// storedOf returns what a Store keeps of a client's header value; not ok if the
// request is refused.
func storedOf(t *testing.T, scope, value string, scoped bool) (stored string, ok bool) {
	key, err := parseKey(value)
	if err != nil {
		return "", false
	}
	var scopeOf func(*http.Request) (string, error)
	config := DoConfig{}
	if scoped {
		scopeOf = func(*http.Request) (string, error) { return scope, nil }
		config.Scope = scope
	}
	stored, _, err = storedKey(nil, key, scopeOf)
	if err != nil {
		if !errors.Is(err, ErrScopeDenied) && !errors.Is(err, ErrKeyInvalid) {
			t.Fatalf("(%q, %q): %v", scope, key, err)
		}
		return "", false
	}
	if len(stored) > MaxStoredKeyBytes {
		t.Fatalf("(%q, %q) has %d bytes", scope, key, len(stored))
	}
	if before, after, found := strings.Cut(stored, "\x1f"); found != scoped || scoped && (before == "" || after != key) {
		t.Fatalf("(%q, %q, %v) is kept as %q", scope, key, scoped, stored)
	}
	if byDo, err := config.storedKey(key); err != nil || byDo != stored {
		t.Fatalf("(%q, %q): Do keeps %q, %v; RESTMiddleware %q", scope, key, byDo, err, stored)
	}
	return stored, true
}
