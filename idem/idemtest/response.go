package idemtest

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"

	"github.com/pgidem/pgidem/idem"
)

// response returns a response that no other name has.
func response(name string) idem.Cached {
	return idem.Cached{
		Status:      http.StatusCreated,
		Header:      http.Header{"Content-Type": {"application/json"}, "Location": {"/" + name}},
		Body:        []byte(`{"made by":"` + name + `"}`),
		RequestHash: hashA,
	}
}

// difference says how got differs from want, but for StoredAt; "" if it does
// not. Nil and empty are the same, for headers and for bodies.
func difference(got, want idem.Cached) string {
	switch {
	case got.Status != want.Status:
		return fmt.Sprintf("status %d, want %d", got.Status, want.Status)
	case got.RequestHash != want.RequestHash:
		return fmt.Sprintf("request hash %q, want %q", got.RequestHash, want.RequestHash)
	case !bytes.Equal(got.Body, want.Body):
		return fmt.Sprintf("body of %d bytes %.60q, want %d bytes %.60q", len(got.Body), got.Body, len(want.Body), want.Body)
	}
	return headerDifference(got.Header, want.Header)
}

func headerDifference(got, want http.Header) string {
	for name, values := range want {
		if !slices.Equal(got[name], values) {
			return fmt.Sprintf("header %q: %q, want %q", name, got[name], values)
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			return fmt.Sprintf("header %q: %q, want none", name, got[name])
		}
	}
	return ""
}
