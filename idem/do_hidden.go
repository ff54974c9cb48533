package idem

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"
)

var errNotUTF8 = errors.New("idem: a string in the request is not valid UTF-8, and JSON would not show it: give Do a RequestHash")

// refuseHidden returns an error if encoded, the JSON form of v, may be that of
// another request, too: where a struct stands there without any of its fields,
// where a string is not UTF-8, and where the shape of a struct hides some of it.
// The first two leave a trace in encoded, which may be innocent, and the third one
// in the types; where there is none, there is nothing to look for.
func refuseHidden(v reflect.Value, encoded []byte) error {
	s := hiddenSearch{
		seen:  make(map[reference]bool),
		empty: bytes.Contains(encoded, []byte("{}")),
		bytes: bytes.Contains(encoded, []byte(`\ufffd`)),
	}
	return s.value(v)
}

// hiddenSearch looks at all that encoding/json shows of a value, and in the same
// way. It holds what was looked at: what JSON leaves out may lead in a circle.
type hiddenSearch struct {
	seen         map[reference]bool
	empty, bytes bool // the traces that there are: of empty structs, and of bytes
}

// reference is a pointer, a map or a slice.
type reference struct {
	kind    reflect.Type
	address uintptr
	length  int
}

// needless tells whether there is nothing to look for in a value of type t.
func (s hiddenSearch) needless(t reflect.Type) bool {
	return !s.empty && !s.bytes && !mayHide(t)
}

func (s hiddenSearch) value(v reflect.Value) error {
	if s.needless(v.Type()) {
		return nil
	}
	switch v.Kind() {
	case reflect.Interface:
		if v.IsNil() {
			return nil
		}
		return s.value(v.Elem())
	case reflect.Pointer:
		return s.follow(v)
	}
	asJSON, asText := implements[json.Marshaler](v), implements[encoding.TextMarshaler](v)
	if v.Kind() == reflect.Struct && (asJSON || asText) {
		if err := shapeOf(v.Type()).byMethod; err != nil {
			return err
		}
	}
	switch {
	case asJSON: // it shows what it likes
		return nil
	case asText:
		return s.lookAtText(v)
	}
	return s.plain(v)
}

// plain looks at a value that no method of its own encodes.
func (s hiddenSearch) plain(v reflect.Value) error {
	switch v.Kind() {
	case reflect.String:
		return s.lookAtString(v.String())
	case reflect.Map, reflect.Slice:
		return s.follow(v)
	case reflect.Array:
		return s.elements(v)
	case reflect.Struct:
		if t := v.Type(); s.empty && t.Size() > 0 && !showsField(t) {
			return fmt.Errorf("idem: JSON shows nothing of a %v in the request: give Do a RequestHash", t)
		}
		if err := shapeOf(v.Type()).byFields; err != nil {
			return err
		}
		return s.fields(v)
	}
	return nil
}

// first tells whether v is not nil and was not looked at before.
func (s hiddenSearch) first(v reflect.Value) bool {
	r := reference{kind: v.Type(), address: v.Pointer()}
	if v.Kind() == reflect.Slice {
		r.length = v.Len()
	}
	if v.IsNil() || s.seen[r] {
		return false
	}
	s.seen[r] = true
	return true
}

func (s hiddenSearch) follow(v reflect.Value) error {
	switch {
	case v.Type() == reflect.TypeFor[[]byte](), !s.first(v):
		return nil
	case v.Kind() == reflect.Pointer:
		return s.value(v.Elem())
	case v.Kind() == reflect.Slice:
		return s.elements(v)
	}
	if s.needless(v.Type()) {
		return nil
	}
	for entry := v.MapRange(); entry.Next(); {
		if err := errors.Join(s.key(entry.Key()), s.value(entry.Value())); err != nil {
			return err
		}
	}
	return nil
}

// key looks at the key of a map, of which a string is taken as it is.
func (s hiddenSearch) key(v reflect.Value) error {
	if v.Kind() == reflect.String {
		return s.lookAtString(v.String())
	}
	return s.value(v)
}

func (s hiddenSearch) elements(v reflect.Value) error {
	if s.needless(v.Type().Elem()) {
		return nil
	}
	for i := range v.Len() {
		if err := s.value(v.Index(i)); err != nil {
			return err
		}
	}
	return nil
}

func (s hiddenSearch) fields(v reflect.Value) error {
	for i := range v.NumField() {
		if err := s.field(v.Type().Field(i), v.Field(i)); err != nil {
			return err
		}
	}
	return nil
}

func (s hiddenSearch) field(f reflect.StructField, v reflect.Value) error {
	switch shown, inlined := shownField(f); {
	case !shown, omitsZero(f) && v.IsZero():
		return nil
	case !inlined:
		return s.value(v)
	case v.Kind() == reflect.Struct:
		return s.fields(v)
	case s.first(v):
		return s.fields(v.Elem())
	}
	return nil
}

func (s hiddenSearch) lookAtString(text string) error {
	if s.bytes && !utf8.ValidString(text) {
		return errNotUTF8
	}
	return nil
}

// lookAtText looks at the text of an encoding.TextMarshaler. That it can be had
// was seen when it was encoded.
func (s hiddenSearch) lookAtText(v reflect.Value) error {
	if !s.bytes {
		return nil
	}
	if !v.Type().Implements(reflect.TypeFor[encoding.TextMarshaler]()) {
		v = v.Addr()
	}
	if (v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface) && v.IsNil() {
		return nil
	}
	text, err := v.Interface().(encoding.TextMarshaler).MarshalText()
	if err != nil {
		return err
	}
	return s.lookAtString(string(text))
}

// implements tells whether encoding/json finds the methods of M in v. It finds
// those on the pointer only where v can be addressed, and so not in a map.
func implements[M any](v reflect.Value) bool {
	t, methods := v.Type(), reflect.TypeFor[M]()
	return t.Implements(methods) ||
		t.Kind() != reflect.Pointer && v.CanAddr() && reflect.PointerTo(t).Implements(methods)
}

// showsField tells whether JSON shows any field of a struct of type t. around are
// the structs that it is embedded in.
func showsField(t reflect.Type, around ...reflect.Type) bool {
	around = append(around, t)
	for i := range t.NumField() {
		f := t.Field(i)
		shown, inlined := shownField(f)
		if inner := embedded(f); inlined {
			shown = !slices.Contains(around, inner) && showsField(inner, around...)
		}
		if shown {
			return true
		}
	}
	return false
}

// shownField tells whether JSON shows a field, and whether it shows the fields of
// an embedded struct in its place.
func shownField(f reflect.StructField) (shown, inlined bool) {
	inner, tag := embedded(f), f.Tag.Get("json")
	if tag == "-" || !f.IsExported() && inner == nil {
		return false, false
	}
	name, _, _ := strings.Cut(tag, ",")
	return true, inner != nil && name == ""
}

// embedded returns the struct that f embeds, itself or a pointer to it, or nil.
func embedded(f reflect.StructField) reflect.Type {
	t := f.Type
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if !f.Anonymous || t.Kind() != reflect.Struct {
		return nil
	}
	return t
}

func omitsZero(f reflect.StructField) bool {
	_, options, _ := strings.Cut(f.Tag.Get("json"), ",")
	return slices.Contains(strings.Split(options, ","), "omitzero")
}
