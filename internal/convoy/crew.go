package convoy

import (
	"sync"
	"time"
)

// lingerTime is how long a goroutine of a Crew stays that has nothing to do, or up
// to twice as long.
const lingerTime = 500 * time.Millisecond

// career is how much one of its goroutines does at most. It has the profiler's
// labels of whoever started it: nobody's shall stand for all.
const career = 256

// Crew starts goroutines as go does, but one whose work is done stays for a while
// and takes the next: a new one begins with a small stack, and to make that grow as
// deep as a client of a server calls costs as much as a good part of a round trip
// nearby.
//
// Its methods may be called concurrently.
type Crew[T any] struct {
	work func(T)

	// mu guards what follows.
	mu      sync.Mutex
	resting []chan T // who came last is taken first
	// spare is how many of them have been there all the time since the watch
	// looked last.
	spare   int
	watched bool // a watch will look
	closed  bool
}

// NewCrew returns a Crew of nobody, which does work. If that panics the program
// ends, as it does with go.
func NewCrew[T any](work func(T)) *Crew[T] { return &Crew[T]{work: work} }

// Start has somebody work on t. It does not block.
func (c *Crew[T]) Start(t T) {
	if next, ok := c.call(); ok {
		next <- t
		return
	}
	go c.live(t)
}

// call takes out the one that came last, if there is one.
func (c *Crew[T]) call() (next chan<- T, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	last := len(c.resting) - 1
	if last < 0 {
		return nil, false
	}
	next, c.resting = c.resting[last], c.resting[:last]
	c.spare = min(c.spare, last)
	return next, true
}

// live works on t, and on what comes after it.
func (c *Crew[T]) live(t T) {
	next := make(chan T, 1)
	for range career - 1 {
		c.work(t)
		if !c.rest(next) {
			return
		}
		var called bool
		if t, called = <-next; !called {
			return
		}
	}
	c.work(t)
}

// rest has work sent to next, or next closed when nobody needs it any more; it
// returns false if nobody ever will.
func (c *Crew[T]) rest(next chan T) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.resting = append(c.resting, next)
	if !c.watched {
		c.watched, c.spare = true, 0
		time.AfterFunc(lingerTime, c.watch)
	}
	return true
}

// watch sends those away that nobody has needed since it looked last.
func (c *Crew[T]) watch() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dismiss(c.spare)
	c.spare = len(c.resting)
	if c.watched = c.spare > 0; c.watched {
		time.AfterFunc(lingerTime, c.watch)
	}
}

// dismiss sends the first n away. The caller holds mu.
func (c *Crew[T]) dismiss(n int) {
	for _, next := range c.resting[:n] {
		close(next)
	}
	c.resting = append([]chan T(nil), c.resting[n:]...)
}

// Close sends those away that rest, and lets nobody rest any more. What is started
// afterwards is still done.
func (c *Crew[T]) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dismiss(len(c.resting))
	c.closed, c.spare = true, 0
}
