package idem_test

import (
	"encoding/json"
	"errors"
	"math/big"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/pgidem/pgidem/idem"
)

// money shows nothing to JSON.
type money struct{ cents int64 }

type payment struct {
	To     string
	Amount money
}

// node may hold itself, directly or embedded.
type node struct {
	*node
	Name string
	Next *node    `json:",omitempty"`
	Tags struct{} // leaves a trace
}

// latin is a text that JSON cannot hold.
type latin struct{ text string }

func (l latin) MarshalText() ([]byte, error) { return []byte(l.text), nil }

// wallet has methods that JSON finds where it can be addressed, and else nothing.
type wallet struct{ cents int64 }

func (w *wallet) MarshalJSON() ([]byte, error) { return json.Marshal(w.cents) }

// circle is left out by JSON, and leads to itself.
type circle struct{ Self *circle }

func (*circle) IsZero() bool { return true }

// doBoth calls Do with two requests under one key.
func doBoth(t *testing.T, requests [2]any) (errs [2]error, runs int64) {
	t.Helper()
	var l ledger
	cfg := idem.DoConfig{Store: newMemory(t)}
	for i, request := range requests {
		_, errs[i] = idem.Do(t.Context(), cfg, "k", request, charger(&l))
	}
	return errs, l.runs.Load()
}

// Each pair has one JSON form.
func TestDoRefusesRequestsThatJSONHides(t *testing.T) {
	t.Parallel()
	type embedding struct{ money }
	type tagged struct {
		A int `json:"-"`
	}
	type unexported struct {
		*money `json:"amount"`
		To     string
	}
	for name, pair := range map[string][2]any{
		"Field":                {payment{"a", money{1}}, payment{"a", money{2}}},
		"Pointer":              {&payment{"a", money{1}}, &payment{"a", money{2}}},
		"Slice":                {[]money{{1}}, []money{{2}}},
		"Array":                {[1]money{{1}}, [1]money{{2}}},
		"Map":                  {map[string]money{"a": {1}}, map[string]money{"a": {2}}},
		"PointerInMap":         {map[string]*money{"a": {1}}, map[string]*money{"a": {2}}},
		"Interface":            {[]any{money{1}}, []any{money{2}}},
		"Deep":                 {map[string]any{"a": []any{"", payment{"a", money{1}}}}, map[string]any{"a": []any{"", payment{"a", money{2}}}}},
		"Embedded":             {embedding{money{1}}, embedding{money{2}}},
		"EmbeddedNamed":        {unexported{&money{1}, "a"}, unexported{&money{2}, "a"}},
		"Tagged":               {tagged{1}, tagged{2}},
		"MethodsInMap":         {map[string]big.Int{"a": *big.NewInt(1)}, map[string]big.Int{"a": *big.NewInt(2)}},
		"MethodsInAny":         {[]any{wallet{1}}, []any{wallet{2}}},
		"UserOfURL":            {url.URL{Host: "h", User: url.User("a")}, url.URL{Host: "h", User: url.User("b")}},
		"NotUTF8":              {[]string{"\xff"}, []string{"\xfe"}},
		"NotUTF8Field":         {charge{"\xf0\x01", 1}, charge{"\xf1\x01", 1}},
		"NotUTF8Key":           {map[string]int{"\xff": 1}, map[string]int{"\xfe": 1}},
		"NotUTF8Any":           {map[string]any{"a": "\xff"}, map[string]any{"a": "\xfe"}},
		"NotUTF8Text":          {latin{"\xff"}, latin{"\xfe"}},
		"NotUTF8TextKey":       {map[latin]int{{"\xff"}: 1}, map[latin]int{{"\xfe"}: 1}},
		"NotUTF8OrReplacement": {[]string{"\xff\ufffd"}, []string{"\ufffd\xff"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			errs, runs := doBoth(t, pair)
			if !errors.Is(errs[0], idem.ErrRequestUnreadable) || !errors.Is(errs[1], idem.ErrRequestUnreadable) || runs != 0 {
				t.Errorf("%v after %d runs", errs, runs)
			}
		})
	}
}

// What leaves the same traces and hides nothing is hashed as ever.
func TestDoTakesRequestsThatJSONShows(t *testing.T) {
	t.Parallel()
	type optional struct {
		Amount *money   `json:",omitempty"`
		Zero   money    `json:",omitzero"`
		Circle *circle  `json:",omitzero"`
		Left   chan int `json:"-"`
		Any    any
		Meta   struct{} // leaves a trace
	}
	type locked struct {
		sync.Mutex
		To   string
		Meta struct{}
	}
	type texts struct {
		None *latin
		Meta struct{}
	}
	around := new(circle)
	around.Self = around
	ring := &node{Name: "a"}
	ring.node = ring
	for name, request := range map[string]any{
		"Optional":         optional{Circle: around},
		"Locked":           &locked{To: "a"},
		"Embedding":        ring,
		"EmptyMaps":        []map[string]string{{}, {}},
		"EmptyStructs":     map[string]struct{}{"a": {}},
		"NoSuchElement":    map[string]any{"a": []money{}, "{}": 1},
		"Twice":            []*charge{&aCharge, &aCharge},
		"URL":              []any{&url.URL{Host: "h"}, struct{}{}},
		"Methods":          []any{[]wallet{{1}}, &wallet{1}, big.NewInt(1), time.Time{}, struct{}{}},
		"Marshaler":        json.RawMessage(`{"a":{},"b":"\ufffd"}`),
		"ReplacementChar":  []string{"\ufffd", `\ufffd`, "{}"},
		"TextKey":          map[latin]int{{"\\ufffd"}: 1},
		"NoText":           texts{},
		"Bytes":            map[string]any{"{}": []byte{0xff, 0xfe}},
		"PlainNotUTF8":     "\xff",
		"PointerToPointer": func() **charge { p := &aCharge; return &p }(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if errs, runs := doBoth(t, [2]any{request, request}); errs != [2]error{} || runs != 1 {
				t.Errorf("%v after %d runs", errs, runs)
			}
		})
	}
}

// A string is a request of its own, also where JSON could not show it.
func TestDoTellsOtherRequestsApart(t *testing.T) {
	t.Parallel()
	for name, pair := range map[string][2]any{
		"OtherBytes":      {"\xff\x01pay 1", "\xfe\x01pay 1"},
		"ReplacementChar": {"\xff", "\ufffd"},
		"ItsJSON":         {"\xff", `"\ufffd"`},
		"Given":           {"\xff", idem.RequestHash("\xff")},
		"WalletsInASlice": {[]wallet{{1}}, []wallet{{2}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			errs, runs := doBoth(t, pair)
			if errs[0] != nil || !errors.Is(errs[1], idem.ErrHashMismatch) || runs != 1 {
				t.Errorf("%v after %d runs", errs, runs)
			}
		})
	}
}
