package idem_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/netip"
	"sync"
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
	type dashed struct {
		time.Time `json:"-"` // its method is promoted all the same
		Amount    int
	}
	type priced struct {
		cents
		To string
	}
	type booking struct { // of two MarshalJSON none is promoted, and no field shows
		Start
		End
		Room string
	}
	type price struct { // in a map its pointer's methods do not count
		big.Int
		Currency string
	}
	type order struct{ What instruction }
	type login struct { // the address has a form, and shows no field
		time.Time
		netip.Addr
	}
	type host struct { // the address has a text form alone
		netip.Addr
		Amount int
	}
	type event struct{ Base }
	type booked struct {
		Period
		Room string
	}
	ip := netip.MustParseAddr
	little, much := dated{theDay, 1}, dated{theDay, 1000}
	a, b := transfer{from{"a"}, to{"b"}, 1}, transfer{from{"a"}, to{"mallory"}, 1}
	for name, pair := range map[string][2]any{
		"PromotedMethod":          {little, much},
		"PromotedMethodOfPointer": {&little, &much},
		"PromotedMethodInSlice":   {[]dated{little}, []dated{much}},
		"PromotedMethodInAny":     {map[string]any{"at": little}, map[string]any{"at": much}},
		"PromotedMethodInPointer": {pointing{&little, "a"}, pointing{&little, "b"}},
		"PromotedMethodDashed":    {dashed{theDay, 1}, dashed{theDay, 1000}},
		"PromotedMethodOfNumber":  {priced{1, "a"}, priced{1, "b"}},
		"PromotedInInterface":     {order{little}, order{much}},
		"PromotedTextMethod":      {host{ip("10.0.0.1"), 1}, host{ip("10.0.0.1"), 1000}},
		"TwoForms":                {login{theDay, ip("10.0.0.1")}, login{theDay, ip("10.0.0.2")}},
		"PromotedTwice":           {event{Base{theDay, 1}}, event{Base{theDay, 2}}},
		"TwoMethodsDeep":          {booked{Period{Start{theDay.AddDate(1, 0, 0)}, End{theDay}}, "r"}, booked{Period{Start{theDay}, End{theDay}}, "r"}},
		"TwoMethods":              {booking{Start{theDay}, End{theDay}, "r"}, booking{Start{theDay.AddDate(1, 0, 0)}, End{theDay}, "r"}},
		"MethodOfPointerInMap":    {map[string]price{"a": {*big.NewInt(1), "EUR"}}, map[string]price{"a": {*big.NewInt(2), "EUR"}}},
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
		"SameAsPart":  optionalTime{theDay, true},
		"Locked":      &lockedTime{Time: theDay},
		"Shadowing":   shadowing{base{"\xff"}, "c"},
		"PartPanics":  wrapped{Amount: 1},
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

type cents int

func (c cents) MarshalJSON() ([]byte, error) { return fmt.Appendf(nil, "%d", int(c)), nil }

type Start struct{ time.Time }

type End struct{ time.Time }

type Base struct {
	time.Time
	Seq int
}

type Period struct {
	Start
	End
}

type instruction interface {
	json.Marshaler
	Unix() int64
}

// optionalTime shows all it has, and sometimes as its part would.
type optionalTime struct {
	time.Time
	Set bool
}

func (o optionalTime) MarshalJSON() ([]byte, error) {
	if !o.Set {
		return []byte("null"), nil
	}
	return o.Time.MarshalJSON()
}

type lockedTime struct {
	sync.Mutex
	time.Time
}

type base struct{ ID string }

// shadowing has a field in the place of its base's.
type shadowing struct {
	base
	ID string
}

// Picky cannot be encoded, and wrapped does without.
type Picky struct{ m map[string]int }

func (p Picky) MarshalJSON() ([]byte, error) {
	p.m["seen"]++
	return []byte("1"), nil
}

type wrapped struct {
	Picky
	Amount int
}

func (w wrapped) MarshalJSON() ([]byte, error) { return fmt.Appendf(nil, "%d", w.Amount), nil }

// account is encoded under a lock of its own.
type account struct {
	mu      sync.Mutex
	balance int
}

func (a *account) MarshalJSON() ([]byte, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return fmt.Appendf(nil, "%d", a.balance), nil
}

// A request is looked at without its locks: nothing of what they guard is touched.
func TestDoTouchesNothingThatALockGuards(t *testing.T) {
	t.Parallel()
	type statement struct { // held by value
		Account account
		Note    any
	}
	s := &statement{Note: "x"}
	a := &s.Account
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				a.mu.Lock()
				a.balance = 0
				a.mu.Unlock()
			}
		}
	}()
	for range 100 {
		if errs, _ := doBoth(t, [2]any{map[string]any{"account": a, "statement": s}, nil}); errs[0] != nil {
			t.Fatal(errs[0])
		}
	}
	close(stop)
	<-stopped
}
