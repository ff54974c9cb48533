package idemtest

import (
	"strings"

	"github.com/pgidem/pgidem/idem"
)

var keyCases = []definition{
	{"EveryPrintableByteIsAKeyOfItsOwn", 10, 0, printableKeys},
	{"LongKeysAreKept", 10, 0, longKeys},
	{"UnicodeKeysAreToldApart", 10, 0, unicodeKeys},
	{"InvalidKeysAreErrKeyInvalid", 10, 0, invalidKeys},
}

func printableKeys(k *kit) {
	var keys []string
	for b := byte(0x20); b <= 0x7e; b++ {
		keys = append(keys, "key"+string(rune(b)))
	}
	k.mustKeepApart(keys)
}

// mustKeepApart records a response for each key and demands each one back.
func (k *kit) mustKeepApart(keys []string) {
	k.Helper()
	for _, key := range keys {
		k.recorded(key, response(key))
	}
	for _, key := range keys {
		k.mustReplay(key, response(key))
	}
}

func longKeys(k *kit) {
	long := strings.Repeat("k", idem.MaxStoredKeyBytes-1)
	k.mustKeepApart([]string{long + "1", long + "2", long[:idem.MaxKeyBytes], long[:idem.MaxKeyBytes-1]})
}

// unicodeKeys holds pairs that look alike: composed and decomposed, upper and
// lower case, with and without an invisible character.
func unicodeKeys(k *kit) {
	k.mustKeepApart([]string{"caf\u00e9", "cafe\u0301", "STRASSE", "straße", "鍵", "🔑", "a\u200bb", "ab", "tenant\x1fkey"})
}

func invalidKeys(k *kit) {
	for _, key := range []string{
		"", "nul\x00", "\x00", "\xff", "cut\xe2\x82", strings.Repeat("k", idem.MaxStoredKeyBytes+1),
	} {
		k.mustBe(k.attempt(key).reserve(), idem.ErrKeyInvalid)
	}
}
