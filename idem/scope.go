package idem

import (
	"fmt"
	"net/http"
	"unicode/utf8"
)

// scopeSeparator stands between scope and key. Neither a scope nor a client's
// key can contain it, so a scoped key never equals another one.
const scopeSeparator = "\x1f"

// storedKey returns the key under which the Store keeps the record, and the
// scope in it, "" without one.
func storedKey(r *http.Request, clientKey string, scopeOf func(*http.Request) (string, error)) (key, scope string, err error) {
	if scopeOf == nil {
		return clientKey, "", nil // what parseKey takes, ValidateKey takes
	}
	scope, err = scopeOf(r)
	if err == nil {
		err = checkScope(scope)
	}
	if err != nil {
		return "", "", fmt.Errorf("%w: %w", ErrScopeDenied, err)
	}
	key = scope + scopeSeparator + clientKey
	return key, scope, ValidateKey(key)
}

func checkScope(scope string) error {
	if scope == "" {
		return fmt.Errorf("idem: scope is empty")
	}
	if !utf8.ValidString(scope) {
		return fmt.Errorf("idem: scope %q is not valid UTF-8", scope)
	}
	for i := range len(scope) {
		if scope[i] < 0x20 || scope[i] == 0x7f {
			return fmt.Errorf("idem: scope %q contains a control character", scope)
		}
	}
	return nil
}
