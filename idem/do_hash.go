package idem

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"reflect"
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
	form := "given"
	text, given := request.(RequestHash)
	if !given {
		encoded, err := encodeRequest(request)
		if err != nil {
			return "", fmt.Errorf("%w: %w", ErrRequestUnreadable, err)
		}
		form, text = "json", RequestHash(encoded)
	}
	h := sha256.New()
	writeLengthPrefixed(h, doHashVersion)
	writeLengthPrefixed(h, form)
	writeLengthPrefixed(h, string(text))
	return hex.EncodeToString(h.Sum(nil)), nil
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
	if err == nil && string(encoded) == "{}" && hidesEverything(copied.Type()) {
		return nil, fmt.Errorf("idem: request of type %T has no exported field: give Do a RequestHash", request)
	}
	return encoded, err
}

// hidesEverything tells whether t is a struct, or a pointer to one, all of whose
// fields are invisible to JSON.
func hidesEverything(t reflect.Type) bool {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || t.NumField() == 0 {
		return false
	}
	for i := range t.NumField() {
		if f := t.Field(i); f.IsExported() || f.Anonymous {
			return false
		}
	}
	return true
}
