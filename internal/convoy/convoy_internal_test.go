package convoy

import (
	"slices"
	"sync"
	"testing"
	"time"
)

// road is a Convoy whose carriers set out when the test says so.
type road struct {
	*Convoy[int]
	ready chan int // the first call of each carrier that may set out
}

func newRoad(limits Limits) road {
	r := road{ready: make(chan int, 100)}
	r.Convoy = New(limits, func(first int) { r.ready <- first })
	return r
}

func (r road) join(calls ...int) {
	for _, c := range calls {
		r.Join(c)
	}
}

func (r road) mustSetOut(t *testing.T, want int) {
	t.Helper()
	select {
	case got := <-r.ready:
		if got != want {
			t.Fatalf("a carrier sets out with %d, want %d", got, want)
		}
	case <-time.After(10 * time.Second):
		t.Fatalf("no carrier sets out with %d", want)
	}
}

func (r road) mustStay(t *testing.T) {
	t.Helper()
	select {
	case got := <-r.ready:
		t.Fatalf("a carrier sets out with %d", got)
	default:
	}
}

func (r road) mustTake(t *testing.T, mine []int, want ...int) {
	t.Helper()
	if got := r.Take(mine); !slices.Equal(got, want) {
		t.Fatalf("a carrier takes %v, want %v", got, want)
	}
}

func TestCallsThatComeMeanwhileTravelTogether(t *testing.T) {
	t.Parallel()
	r := newRoad(Limits{Batch: 3, Near: 1, Far: 5})
	r.patrolled = true // by nobody
	r.join(1, 2, 3, 4, 5)
	r.mustSetOut(t, 1)
	r.mustStay(t)
	r.mustTake(t, []int{1}, 1, 2, 3)
	r.mustSetOut(t, 4) // the batch is full, and nobody knows how far the server is
	r.mustTake(t, []int{4}, 4, 5)
	r.mustStay(t)
}

// As long as the server answers soon, few are under way; who comes meanwhile
// travels with the next.
func TestFewBatchesAreUnderWayToANearServer(t *testing.T) {
	t.Parallel()
	r := newRoad(Limits{Batch: 10, Near: 1, Far: 5})
	r.near, r.patrolled = true, true // by nobody
	r.join(1)
	r.mustSetOut(t, 1)
	r.mustTake(t, []int{1}, 1)
	r.left = time.Now().Add(time.Hour) // however slow this machine is
	r.join(2, 3)
	r.mustStay(t)
	r.End(time.Now())
	r.mustSetOut(t, 2)
	r.mustTake(t, []int{2}, 2, 3)
	r.join(4)
	r.Again(time.Now())
	r.mustTake(t, nil, 4)
}

func TestManyBatchesAreUnderWayToAFarServer(t *testing.T) {
	t.Parallel()
	r := newRoad(Limits{Batch: 10, Near: 1, Far: 5})
	r.patrolled = true // by nobody
	for c := range 5 {
		r.join(c)
		r.mustSetOut(t, c)
		r.mustTake(t, []int{c}, c)
	}
	r.join(100, 101)
	r.mustStay(t)
	r.End(time.Now().Add(-time.Second))
	r.mustSetOut(t, 100)
	r.mustTake(t, []int{100}, 100, 101)
}

// The carriers under way are on connections that have just gone silent, after the
// server was always quick; or one does not even get a connection. A call after
// which nobody else comes does not wait for them.
func TestCallDoesNotWaitForCarriersThatAreStuck(t *testing.T) {
	t.Parallel()
	r := newRoad(Limits{Batch: 10, Near: 1, Far: 5})
	r.near = true
	r.join(1)
	r.mustSetOut(t, 1)
	r.mustTake(t, []int{1}, 1)
	r.join(2)
	r.mustSetOut(t, 2) // does not leave
	r.join(3)
	r.mustSetOut(t, 3)
	r.mustTake(t, []int{3}, 3)
}

// What is behind all this is that a call which has joined is never forgotten.
func TestEveryCallIsTaken(t *testing.T) {
	t.Parallel()
	const calls, clients = 20_000, 20
	var taken sync.WaitGroup
	taken.Add(calls)
	done := make([]chan struct{}, calls)
	for i := range done {
		done[i] = make(chan struct{}, 1)
	}
	var v *Convoy[int]
	v = New(Limits{Batch: 4, Near: 2, Far: 5}, func(first int) {
		go func() {
			batch, left := v.Take([]int{first}), time.Now()
			if len(batch) > 4 {
				t.Errorf("a batch of %d", len(batch))
			}
			for again := first%2 == 0; len(batch) > 0; batch, left = v.Take(nil), time.Now() {
				for _, c := range batch {
					done[c] <- struct{}{}
					taken.Done()
				}
				if !again {
					v.End(left)
					return
				}
				v.Again(left)
			}
			v.End(time.Time{})
		}()
	})
	for client := range clients {
		go func() {
			for c := client; c < calls; c += clients {
				v.Join(c)
				<-done[c]
			}
		}()
	}
	taken.Wait()
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.waiting) > 0 {
		t.Errorf("%d calls wait", len(v.waiting))
	}
}

func TestCallLeavesUnlessItIsWithACarrier(t *testing.T) {
	t.Parallel()
	r := newRoad(Limits{Batch: 10, Near: 1, Far: 5})
	r.patrolled = true // by nobody
	r.join(1, 2, 3, 4)
	r.mustSetOut(t, 1)
	if r.Leave(1) || !r.Leave(3) || r.Leave(3) {
		t.Error("only 3 could leave, once")
	}
	r.mustTake(t, []int{1}, 1, 2, 4)
	if r.Leave(2) {
		t.Error("2 left its carrier")
	}
}

// A carrier that could not leave is no carrier that collects: the next sets out at
// once.
func TestCarrierThatDoesNotLeaveHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	r := newRoad(Limits{Batch: 10, Near: 1, Far: 5})
	r.patrolled = true // by nobody
	r.join(1, 2, 3, 4, 5)
	r.mustSetOut(t, 1)
	if got := r.Withdraw(func(c int) bool { return c < 3 }); !slices.Equal(got, []int{2}) {
		t.Errorf("withdrew %v", got)
	}
	r.End(time.Time{})
	r.mustSetOut(t, 3)
	r.Alone()
	r.mustSetOut(t, 4)
	r.mustTake(t, []int{4}, 4, 5)
}
