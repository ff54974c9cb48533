package idem

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"reflect"
	"unicode/utf8"
)

// RequestHash is a request hash that the caller of [Do] has made itself, in
// place of the request. Any string will do; equal ones are the same request.
type RequestHash string

// doHashVersion keeps a hash of Do apart from one of RESTMiddleware, so that the
// two refuse each other's records under one key: a hash of Do, also a given one,
// is always made here.
const doHashVersion = "idem do 1"

// hashDoRequest returns the request hash of a call of Do.
func hashDoRequest(request any) (string, error) {
	form, text, err := formOfRequest(request)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrRequestUnreadable, err)
	}
	h := sha256.New()
	writeLengthPrefixed(h, doHashVersion)
	writeLengthPrefixed(h, form)
	writeLengthPrefixed(h, text)
	return hex.EncodeToString(h.Sum(nil)), nil
}

// formOfRequest returns what is hashed of a request, and what form that has.
func formOfRequest(request any) (form, text string, err error) {
	switch r := request.(type) {
	case RequestHash:
		return "given", string(r), nil
	case string:
		if !utf8.ValidString(r) {
			return "bytes", r, nil // JSON would change them
		}
	}
	encoded, err := encodeRequest(request)
	return "json", string(encoded), err
}

func encodeRequest(request any) ([]byte, error) {
	if request == nil {
		return []byte("null"), nil
	}
	// A copy that can be addressed: methods on the pointer, as MarshalJSON of a
	// big.Int, are not seen otherwise, and all requests would be alike.
	copied := reflect.New(reflect.TypeOf(request))
	copied.Elem().Set(reflect.ValueOf(request))
	encoded, err := json.Marshal(copied.Interface())
	if err != nil {
		return nil, fmt.Errorf("%w: give Do a RequestHash", err)
	}
	return encoded, refuseHidden(copied, encoded)
}
