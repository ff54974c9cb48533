package txstore

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"regexp"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
)

// escapeForm is what the server may send under SET bytea_output = 'escape'.
var escapeForm = regexp.MustCompile(`(?s)^(?:[^\\]|\\\\|\\[0-7]{3})*$`)

// took is what a row makes of one column.
type took struct {
	b   []byte
	err error
}

func take(raw []byte, format int16) took {
	r := &row{values: [][]byte{raw}, fields: []pgconn.FieldDescription{{Format: format}}}
	return took{b: r.bytes(), err: r.err}
}

// escapeBytea writes what the server does under SET bytea_output = 'escape'.
func escapeBytea(b []byte) []byte {
	text := []byte{} // nil would be NULL
	for _, c := range b {
		switch {
		case c == '\\':
			text = append(text, `\\`...)
		case c < 0x20 || c > 0x7e:
			text = fmt.Appendf(text, `\%03o`, c)
		default:
			text = append(text, c)
		}
	}
	return text
}

// Behaviours 4, 44. A stored body or header is the same in whichever form the
// server sends it, and no text that the server would not send passes for one.
func FuzzBytea(f *testing.F) {
	f.Add([]byte("paid\x00\xff\\"), []byte(`\x0`))
	f.Add([]byte(`\x00`), []byte(`\400`))
	f.Add([]byte(nil), []byte(`\1`))
	f.Fuzz(func(t *testing.T, b, text []byte) {
		hexed := []byte(`\x` + hex.EncodeToString(b))
		for name, got := range map[string]took{
			"binary": take(append([]byte{}, b...), pgtype.BinaryFormatCode),
			"hex":    take(hexed, pgtype.TextFormatCode),
			"escape": take(escapeBytea(b), pgtype.TextFormatCode),
		} {
			if got.err != nil || got.b == nil || !bytes.Equal(got.b, b) {
				t.Fatalf("%s: %q came back as %q, %v", name, b, got.b, got.err)
			}
		}
		v := take(text, pgtype.TextFormatCode)
		if text == nil || bytes.HasPrefix(text, []byte(`\x`)) {
			return
		}
		if (v.err == nil) != escapeForm.Match(text) || v.err == nil && len(v.b) == 0 && len(text) > 0 {
			t.Fatalf("%q is read as %q, %v", text, v.b, v.err)
		}
	})
}
