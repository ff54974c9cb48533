package idem

import (
	"bytes"
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
)

// embeddings holds what mayEmbed has found out, for each type.
var embeddings sync.Map

// mayEmbed tells whether JSON may meet a struct with an embedded field in a value of
// type t: what an interface holds, no type tells.
func mayEmbed(t reflect.Type) bool {
	if known, ok := embeddings.Load(t); ok {
		return known.(bool)
	}
	found := embeds(t, make(map[reflect.Type]bool))
	embeddings.Store(t, found)
	return found
}

func embeds(t reflect.Type, seen map[reflect.Type]bool) bool {
	if seen[t] {
		return false
	}
	seen[t] = true
	switch t.Kind() {
	case reflect.Interface:
		return true
	case reflect.Pointer, reflect.Slice, reflect.Array:
		return embeds(t.Elem(), seen)
	case reflect.Map:
		return embeds(t.Key(), seen) || embeds(t.Elem(), seen)
	case reflect.Struct:
		for i := range t.NumField() {
			f := t.Field(i)
			if shown, _ := shownField(f); shown && (f.Anonymous || embeds(f.Type, seen)) {
				return true
			}
		}
	}
	return false
}

// refusePromoted returns an error if a struct has its JSON form from a field that it
// embeds, as from a time.Time, and other fields that do not show in it. That the
// method is the field's cannot be asked for, but both give the same then.
func refusePromoted(v reflect.Value) error {
	if v.Kind() == reflect.Pointer && !v.IsNil() {
		v = v.Elem()
	}
	if v.Kind() != reflect.Struct || !v.CanInterface() || !marshals(v) {
		return nil
	}
	t := v.Type()
	whole := reflect.New(t)
	whole.Elem().Set(v)
	for i := range t.NumField() {
		if !t.Field(i).Anonymous || !showsAnother(t, i) {
			continue
		}
		part := whole.Elem().Field(i)
		alone := reflect.NewAt(part.Type(), part.Addr().UnsafePointer()) // also of a type that is not exported
		if marshals(alone.Elem()) && sameJSON(whole, alone) {
			return fmt.Errorf("idem: JSON shows of a %v in the request only the %v that it embeds: give Do a RequestHash", t, part.Type())
		}
	}
	return nil
}

func marshals(v reflect.Value) bool {
	return implements[json.Marshaler](v) || implements[encoding.TextMarshaler](v)
}

// showsAnother tells whether JSON would show another field of t than the one at i.
func showsAnother(t reflect.Type, i int) bool {
	for j := range t.NumField() {
		if shown, _ := shownField(t.Field(j)); shown && j != i {
			return true
		}
	}
	return false
}

func sameJSON(a, b reflect.Value) bool {
	one, err := json.Marshal(a.Interface())
	if err != nil {
		return false
	}
	other, err := json.Marshal(b.Interface())
	return err == nil && bytes.Equal(one, other)
}

// refuseAmbiguous returns an error if two fields that t embeds have the same right
// to one name: JSON shows neither.
func refuseAmbiguous(t reflect.Type) error {
	names := make(claims)
	names.collect(t, nil)
	for name, c := range names {
		if c.tagged > 1 || c.tagged == 0 && c.plain > 1 {
			return fmt.Errorf("idem: JSON shows none of the fields named %q of a %v in the request: give Do a RequestHash", name, t)
		}
	}
	return nil
}

// claims are the names that a struct's fields have in JSON, and how many claim each
// where it is embedded least deep: a tag has the better right.
type claims map[string]nameClaims

type nameClaims struct{ depth, tagged, plain int }

// collect adds the fields of t. around are the structs that it is embedded in.
func (c claims) collect(t reflect.Type, around []reflect.Type) {
	around = append(around, t)
	for i := range t.NumField() {
		f := t.Field(i)
		shown, inlined := shownField(f)
		if inner := embedded(f); inlined && !slices.Contains(around, inner) {
			c.collect(inner, around)
		} else if shown && !inlined {
			c.add(f, len(around))
		}
	}
}

func (c claims) add(f reflect.StructField, depth int) {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	tagged := name != ""
	if !tagged {
		name = f.Name
	}
	n, known := c[name]
	if !known || depth < n.depth {
		n = nameClaims{depth: depth}
	}
	switch {
	case depth > n.depth:
	case tagged:
		n.tagged++
	default:
		n.plain++
	}
	c[name] = n
}
