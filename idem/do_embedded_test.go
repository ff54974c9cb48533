package idem_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/pgidem/pgidem/idem"
)

// dated has the JSON form of its time: the method is promoted.
type dated struct {
	time.Time
	Amount int
}

// shown overrides what it embeds.
type shown struct {
	time.Time
	Amount int
}

func (s shown) MarshalJSON() ([]byte, error) {
	return fmt.Appendf(nil, "[%d,%d]", s.Unix(), s.Amount), nil
}

type from struct{ Account string }

type to struct{ Account string }

// transfer has two fields of one name, and JSON shows neither.
type transfer struct {
	from
	to
	Amount int
}

var theDay = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

// Each pair has one JSON form, which has no trace of what it hides.
func TestDoRefusesRequestsThatEmbeddingHides(t *testing.T) {
	t.Parallel()
	type pointing struct {
		*dated
		To string
	}
	little, much := dated{theDay, 1}, dated{theDay, 1000}
	a, b := transfer{from{"a"}, to{"b"}, 1}, transfer{from{"a"}, to{"mallory"}, 1}
	for name, pair := range map[string][2]any{
		"PromotedMethod":          {little, much},
		"PromotedMethodOfPointer": {&little, &much},
		"PromotedMethodInSlice":   {[]dated{little}, []dated{much}},
		"PromotedMethodInAny":     {map[string]any{"at": little}, map[string]any{"at": much}},
		"PromotedMethodInPointer": {pointing{&little, "a"}, pointing{&little, "b"}},
		"AmbiguousName":           {a, b},
		"AmbiguousNameInAny":      {[]any{&a}, []any{&b}},
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

// What is embedded and hides nothing, or is hidden on purpose, is hashed as ever.
func TestDoTakesRequestsThatEmbed(t *testing.T) {
	t.Parallel()
	type only struct{ time.Time }
	type noted struct {
		time.Time
		note string
	}
	type outer struct {
		from
		to
		Account string
	}
	type preferred struct {
		from
		Other string `json:"Account"`
	}
	type deeper struct {
		*circular
		from
	}
	for name, request := range map[string]any{
		"NothingElse": only{theDay},
		"Unexported":  noted{theDay, "not shown by JSON in any case"},
		"Overridden":  shown{theDay, 1},
		"OuterName":   outer{from{"a"}, to{"b"}, "c"},
		"TaggedName":  preferred{from{"a"}, "b"},
		"Circle":      deeper{&circular{}, from{"a"}},
		"InAny":       []any{only{theDay}, shown{theDay, 1}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if errs, runs := doBoth(t, [2]any{request, request}); errs != [2]error{} || runs != 1 {
				t.Errorf("%v after %d runs", errs, runs)
			}
		})
	}
}

// circular embeds itself.
type circular struct {
	*circular //nolint:unused // for what JSON makes of it
	Amount    int
}
