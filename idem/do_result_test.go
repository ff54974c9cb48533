package idem_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pgidem/pgidem/idem"
)

// twice calls Do twice with a function that returns result, and returns what both
// calls said; both must be the same.
func twice[T any](t *testing.T, result T) T {
	t.Helper()
	store := newMemory(t)
	runs := 0
	var got [2]T
	for i := range got {
		var err error
		got[i], err = idem.Do(t.Context(), idem.DoConfig{Store: store}, "k", nil, func(context.Context) (T, error) {
			runs++
			return result, nil
		})
		if err != nil {
			t.Fatalf("%#v: %v", result, err)
		}
	}
	if runs != 1 {
		t.Errorf("%#v: %d runs", result, runs)
	}
	if !reflect.DeepEqual(got[0], got[1]) {
		t.Errorf("first %#v, replayed %#v", got[0], got[1])
	}
	return got[1]
}

// equal demands that a result comes back as it was.
func equal[T any](t *testing.T, result T) {
	t.Helper()
	if got := twice(t, result); !reflect.DeepEqual(got, result) {
		t.Errorf("%#v came back as %#v", result, got)
	}
}

func TestDoReplaysFalsyResultsAsTheyWere(t *testing.T) {
	t.Parallel()
	equal(t, []int(nil))
	equal(t, []int{})
	equal(t, map[string]int(nil))
	equal(t, map[string]int{})
	equal(t, []byte(nil))
	equal(t, []byte{})
	equal(t, (*receipt)(nil))
	equal(t, &receipt{})
	equal(t, receipt{})
	equal(t, receipt{Notes: []string{}})
	equal(t, struct{}{})
	equal(t, "")
	equal(t, 0)
	equal(t, false)
	equal(t, any(nil))
	equal(t, time.Time{})
	equal(t, [2]*int{})
}

// What a codec loses is lost for the first call too: both are the record.
func TestDoReturnsTheRecordTheFirstTimeToo(t *testing.T) {
	t.Parallel()
	type partly struct {
		Shown  int
		hidden int
	}
	if got := twice(t, partly{1, 2}); got != (partly{Shown: 1}) {
		t.Errorf("%+v", got)
	}
	if got := twice(t, any(1)); got != 1.0 {
		t.Errorf("%#v", got)
	}
	if got := twice(t, "\xff"); got != "\ufffd" {
		t.Errorf("%q", got)
	}
}

// The function has taken effect, whatever becomes of its result.
func TestDoResultWhoseEncodingPanics(t *testing.T) {
	t.Parallel()
	var l ledger
	cfg := idem.DoConfig{Store: newMemory(t)}
	do := func() (err error) {
		defer func() {
			if v := recover(); v != nil {
				err = fmt.Errorf("panic: %v", v)
			}
		}()
		_, err = idem.Do(t.Context(), cfg, "k", nil, func(context.Context) (unmarshalable, error) {
			l.runs.Add(1)
			return unmarshalable{}, nil
		})
		return err
	}
	if err := do(); !errors.Is(err, idem.ErrResultUnencodable) {
		t.Errorf("first call: %v", err)
	}
	if err := do(); !errors.Is(err, idem.ErrResultNotKept) || l.runs.Load() != 1 {
		t.Errorf("retry: %v after %d runs", err, l.runs.Load())
	}
}

type unmarshalable struct{ seen map[string]int }

func (u unmarshalable) MarshalJSON() ([]byte, error) { u.seen["once"]++; return []byte("1"), nil }

// nameless is a codec that panics when it is asked its name.
type nameless struct{ idem.Codec }

func (nameless) Name() string { panic("no name") }

// The function has taken effect, whatever the codec does.
func TestDoCodecThatPanics(t *testing.T) {
	t.Parallel()
	var l ledger
	cfg := idem.DoConfig{Store: newMemory(t), Codec: nameless{}}
	for _, want := range []error{idem.ErrResultUnencodable, idem.ErrResultNotKept} {
		if _, err := idem.Do(t.Context(), cfg, "k", nil, charger(&l)); !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
	}
	if l.runs.Load() != 1 {
		t.Errorf("%d runs", l.runs.Load())
	}
}

// touchy is a result that panics when it is read, once it is told to.
type touchy struct{ N int }

var touched atomic.Bool

func (t *touchy) UnmarshalJSON([]byte) error {
	if touched.Load() {
		panic("touched")
	}
	t.N = 1
	return nil
}

// A record that cannot be read is an error, in whatever way it cannot.
func TestDoRecordWhoseReadingPanics(t *testing.T) {
	t.Parallel()
	runs := 0
	cfg := idem.DoConfig{Store: newMemory(t)}
	fn := func(context.Context) (touchy, error) { runs++; return touchy{1}, nil }
	if got, err := idem.Do(t.Context(), cfg, "k", nil, fn); err != nil || got.N != 1 {
		t.Fatal(got, err)
	}
	touched.Store(true)
	if _, err := idem.Do(t.Context(), cfg, "k", nil, fn); !errors.Is(err, idem.ErrRecordUnreadable) || runs != 1 {
		t.Errorf("%v after %d runs, want ErrRecordUnreadable after one", err, runs)
	}
}
