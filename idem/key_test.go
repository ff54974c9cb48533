package idem

import (
	"errors"
	"net/http"
	"strings"
	"testing"
)

var keyGrammar = map[string]struct {
	value string
	want  string // "" means that it is refused
}{
	"Raw":                     {`abc`, "abc"},
	"RawUUID":                 {`7d2a1ca0-2ac6-4d3e-9a3c-0d8a6fcd9a01`, "7d2a1ca0-2ac6-4d3e-9a3c-0d8a6fcd9a01"},
	"RawEveryOtherByte":       {"!#$%&'()*+-./:;<=>?@[\\]^_`{|}~", "!#$%&'()*+-./:;<=>?@[\\]^_`{|}~"},
	"RawSurroundedBySpace":    {" \tabc\t ", "abc"},
	"RawOneByte":              {"x", "x"},
	"Raw255":                  {strings.Repeat("k", 255), strings.Repeat("k", 255)},
	"Raw256":                  {strings.Repeat("k", 256), ""},
	"Quoted":                  {`"abc"`, "abc"},
	"QuotedSurroundedBySpace": {` "abc"` + "\t", "abc"},
	"QuotedCommaAndSpace":     {`"a, b"`, "a, b"},
	"QuotedEscapes":           {`"a\"b\\c"`, `a"b\c`},
	"Quoted255":               {`"` + strings.Repeat("k", 255) + `"`, strings.Repeat("k", 255)},
	"Quoted255Escaped":        {`"` + strings.Repeat(`\"`, 255) + `"`, strings.Repeat(`"`, 255)},
	"Quoted256":               {`"` + strings.Repeat("k", 256) + `"`, ""},
	"QuotedSpaceInside":       {`" "`, " "},
	"Empty":                   {"", ""},
	"OnlySpace":               {" \t ", ""},
	"QuotedEmpty":             {`""`, ""},
	"LoneQuote":               {`"`, ""},
	"Unterminated":            {`"abc`, ""},
	"UnterminatedEscape":      {`"abc\"`, ""},
	"BackslashAtEnd":          {`"abc\`, ""},
	"UnknownEscape":           {`"a\nc"`, ""},
	"QuoteInRaw":              {`a"b`, ""},
	"QuoteAtEndOfRaw":         {`abc"`, ""},
	"SomethingAfterQuote":     {`"abc"d`, ""},
	"TwoQuoted":               {`"abc", "def"`, ""},
	"Parameters":              {`"abc";v=1`, ""},
	"ParametersAfterSpace":    {`"abc" ;v=1`, ""},
	"RawComma":                {`a,b`, ""},
	"RawJoinedByProxy":        {`a, b`, ""},
	"RawSpace":                {`a b`, ""},
	"RawTab":                  {"a\tb", ""},
	"RawNUL":                  {"a\x00b", ""},
	"RawDEL":                  {"a\x7fb", ""},
	"RawNewline":              {"a\nb", ""},
	"RawSeparator":            {"a\x1fb", ""},
	"RawUTF8":                 {"schlüssel", ""},
	"QuotedTab":               {"\"a\tb\"", ""},
	"QuotedDEL":               {"\"a\x7fb\"", ""},
	"QuotedUTF8":              {`"schlüssel"`, ""},
	"QuotedInvalidUTF8":       {"\"a\xffb\"", ""},
}

// Behaviour 31.
func TestKeyGrammar(t *testing.T) {
	t.Parallel()
	for name, c := range keyGrammar {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key, present, err := keyFromHeader(http.Header{"Idempotency-Key": {c.value}}, "Idempotency-Key")
			if !present {
				t.Error("the header was not seen")
			}
			if key != c.want {
				t.Errorf("key %q, want %q", key, c.want)
			}
			if refused := c.want == ""; refused != errors.Is(err, ErrKeyInvalid) || !refused && err != nil {
				t.Errorf("error %v", err)
			}
			if err != nil && ProblemFor(err).Detail == "" {
				t.Error("the client is not told what is wrong")
			}
		})
	}
}

// Behaviour 31.
func TestKeyHeaderRepeatedOrAbsent(t *testing.T) {
	t.Parallel()
	if _, present, err := keyFromHeader(http.Header{}, "Idempotency-Key"); present || err != nil {
		t.Errorf("absent: present %v, error %v", present, err)
	}
	for _, values := range [][]string{{"a", "b"}, {"a", "a"}, {"", "a"}} {
		_, present, err := keyFromHeader(http.Header{"Idempotency-Key": values}, "Idempotency-Key")
		if !present || !errors.Is(err, ErrKeyInvalid) {
			t.Errorf("%q: present %v, error %v", values, present, err)
		}
	}
}

func TestValidateKey(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		key string
		ok  bool
	}{
		"Short":       {"k", true},
		"Unicode":     {"mandant\x1fschlüssel", true},
		"AtLimit":     {strings.Repeat("k", MaxStoredKeyBytes), true},
		"OverLimit":   {strings.Repeat("k", MaxStoredKeyBytes+1), false},
		"Empty":       {"", false},
		"NUL":         {"a\x00b", false},
		"InvalidUTF8": {"a\xffb", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := ValidateKey(c.key)
			if c.ok != (err == nil) || err != nil && !errors.Is(err, ErrKeyInvalid) {
				t.Errorf("ValidateKey: %v", err)
			}
		})
	}
}
