package main

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
)

// tally counts what happens to the clients, while it happens.
type tally struct {
	sent     atomic.Int64 // requests
	inFlight atomic.Int64
	finished atomic.Int64 // payments whose clients all have their answer

	timedOut atomic.Int64
	hungUp   atomic.Int64
	broken   atomic.Int64 // refused and broken connections

	mu       sync.Mutex
	statuses map[int]int64
}

func newTally() *tally { return &tally{statuses: make(map[int]int64)} }

func (t *tally) answered(status int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.statuses[status]++
}

// unanswered counts a try that brought no answer, by what ended it. One that the
// end of the demo cuts off counts as nothing.
func (t *tally) unanswered(err error) {
	switch {
	case errors.Is(err, errHungUp):
		t.hungUp.Add(1)
	case errors.Is(err, errTimedOut):
		t.timedOut.Add(1)
	case !errors.Is(err, context.Canceled):
		t.broken.Add(1)
	}
}

// withStatus returns how many answers had a status from low to high.
func (t *tally) withStatus(low, high int) (n int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for status, count := range t.statuses {
		if status >= low && status <= high {
			n += count
		}
	}
	return n
}
