package idem

import (
	"errors"
	"strconv"
	"sync"
	"testing"
)

// However requests come and go, none is counted when none is there, and the
// counter keeps nothing of a scope.
func TestAdmissionForgetsScopes(t *testing.T) {
	t.Parallel()
	a := newAdmission(Config{MaxInFlightPerScope: 2, MaxWaitingPerScope: 1})
	var all sync.WaitGroup
	for i := range 400 {
		all.Go(func() {
			ticket, err := a.admit("scope " + strconv.Itoa(i%100))
			if err != nil {
				if !errors.Is(err, ErrTooManyRequests) || ticket != nil {
					t.Errorf("got %v, %v", ticket, err)
				}
				return
			}
			ticket.beginWait()
			ticket.hold()
			ticket.endWait()
			ticket.drop()
			ticket.endWait()
			ticket.drop()
		})
	}
	all.Wait()
	if len(a.scopes) != 0 {
		t.Errorf("%d scopes are left: %+v", len(a.scopes), a.scopes)
	}
}

func TestAdmissionCounts(t *testing.T) {
	t.Parallel()
	a := newAdmission(Config{MaxInFlightPerScope: 2, MaxWaitingPerScope: 1})
	first, _ := a.admit("s")
	second, _ := a.admit("s")
	if _, err := a.admit("s"); !errors.Is(err, ErrTooManyRequests) {
		t.Errorf("a third was told %v", err)
	}
	if other, err := a.admit("other"); err != nil || !other.beginWait() {
		t.Errorf("another scope was told %v", err)
	}
	if !first.beginWait() || second.beginWait() {
		t.Error("one of two may wait")
	}
	second.endWait() // it does not wait: the first's place is not given up
	if second.beginWait() {
		t.Error("a place was given up by who had none")
	}
	first.endWait()
	if !second.beginWait() {
		t.Error("no place after the first has left its own")
	}
	first.endWait() // once more, of one that runs again: the second still waits
	if first.beginWait() {
		t.Error("a place was given up twice")
	}
	first.hold()
	first.drop()
	if _, err := a.admit("s"); !errors.Is(err, ErrTooManyRequests) {
		t.Error("a handler that still runs was not counted")
	}
	first.drop()
	if _, err := a.admit("s"); err != nil {
		t.Errorf("after an end: %v", err)
	}
}
