package idem

import (
	"fmt"
	"net/http"
	"strings"
	"unicode/utf8"
)

// refusal is a protocol error together with a detail that the client may read.
// Only what the client caused itself is said in one; the text of any other
// error stays inside the server.
type refusal struct {
	err    error
	detail string
}

func refuse(err error, format string, args ...any) error {
	return &refusal{err: err, detail: fmt.Sprintf(format, args...)}
}

func (r *refusal) Error() string { return r.err.Error() + ": " + r.detail }

func (r *refusal) Unwrap() error { return r.err }

// ValidateKey tells whether a Store may take key as a stored key: it is not
// empty, has at most [MaxStoredKeyBytes] bytes, is valid UTF-8 and holds no
// NUL. The error is an [ErrKeyInvalid] that says what is wrong. A Store calls it
// first in Reserve, so that no key is refused only after its handler ran.
func ValidateKey(key string) error {
	switch {
	case key == "":
		return refuse(ErrKeyInvalid, "it is empty")
	case len(key) > MaxStoredKeyBytes:
		return refuse(ErrKeyInvalid, "with its scope it has %d bytes; the limit is %d", len(key), MaxStoredKeyBytes)
	case !utf8.ValidString(key):
		return refuse(ErrKeyInvalid, "it is not valid UTF-8")
	case strings.IndexByte(key, 0) >= 0:
		return refuse(ErrKeyInvalid, "it contains a NUL byte")
	}
	return nil
}

// keyFromHeader returns the client's key, and whether the header is there at
// all. A header that is there but unusable is an error, never a missing key: a
// client that meant to be protected must not be served without protection.
func keyFromHeader(h http.Header, name string) (key string, present bool, err error) {
	values := h.Values(name)
	switch len(values) {
	case 0:
		return "", false, nil
	case 1:
		key, err = parseKey(values[0])
		return key, true, err
	}
	return "", true, refuse(ErrKeyInvalid, "the header is repeated")
}

// parseKey reads a key in either of its two forms: raw, or quoted as a String
// of RFC 8941. Both forms of one key give the same result.
func parseKey(value string) (string, error) {
	value = strings.Trim(value, " \t")
	key, err := value, error(nil)
	if strings.HasPrefix(value, `"`) {
		key, err = unquoteKey(value)
	} else {
		err = checkRawKey(value)
	}
	switch {
	case err != nil:
		return "", err
	case key == "":
		return "", refuse(ErrKeyInvalid, "it is empty")
	case len(key) > MaxKeyBytes:
		return "", refuse(ErrKeyInvalid, "it has %d bytes; the limit is %d", len(key), MaxKeyBytes)
	}
	return key, nil
}

// checkRawKey refuses, beside what no key may contain, the characters that a
// raw value cannot hold without doubt: a proxy joins two headers with a comma
// and a space, and a quote belongs to the other form.
func checkRawKey(value string) error {
	for i := range len(value) {
		switch c := value[i]; {
		case !printable(c):
			return refuseByte(c)
		case c == ',' || c == ' ':
			return refuse(ErrKeyInvalid, "it contains %q outside quotes; put the key in double quotes", c)
		case c == '"':
			return refuse(ErrKeyInvalid, "it contains a double quote that opens nothing")
		}
	}
	return nil
}

// unquoteKey reads a quoted value, whose first byte is the opening quote.
func unquoteKey(value string) (string, error) {
	var key strings.Builder
	key.Grow(len(value))
	for i := 1; i < len(value); i++ {
		switch c := value[i]; {
		case !printable(c):
			return "", refuseByte(c)
		case c == '"':
			return key.String(), checkQuoteEnd(value[i+1:])
		case c == '\\':
			i++
			if i == len(value) || value[i] != '"' && value[i] != '\\' {
				return "", refuse(ErrKeyInvalid, `a backslash in a quoted key may only stand before " or \`)
			}
			key.WriteByte(value[i])
		default:
			key.WriteByte(c)
		}
	}
	return "", refuse(ErrKeyInvalid, "its closing quote is missing")
}

func checkQuoteEnd(rest string) error {
	switch {
	case rest == "":
		return nil
	case rest[0] == ';':
		return refuse(ErrKeyInvalid, "parameters follow it; only the quoted key may be sent")
	}
	return refuse(ErrKeyInvalid, "something follows its closing quote")
}

func refuseByte(c byte) error {
	return refuse(ErrKeyInvalid, "it contains the byte 0x%02x; only printable ASCII is allowed", c)
}

func printable(c byte) bool { return c >= 0x20 && c <= 0x7e }

// isToken tells whether s is a token of RFC 9110: a method or a field name.
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		alphanumeric := c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !alphanumeric && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}
