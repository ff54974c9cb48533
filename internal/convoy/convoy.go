// Package convoy lets calls of a server that come at the same time travel
// together: most of what a small call costs the process and the server is
// reading from and writing to a socket.
package convoy

import (
	"runtime"
	"slices"
	"sync"
	"time"
)

// soon is how long a round trip takes at most that is worth waiting for.
const soon = 500 * time.Microsecond

// Convoy gathers calls into batches, which carriers bring to the server. No call
// waits for others to come: who comes while nobody collects makes a carrier set
// out, which lets the goroutines run that are ready to, and takes what is there
// then. Only when enough carriers are under way a call waits until one is back.
//
// Its methods may be called concurrently.
type Convoy[T comparable] struct {
	limits Limits
	start  func(first T)

	// mu guards what follows.
	mu       sync.Mutex
	waiting  []T
	carriers int
	// collecting: a carrier is about to take what waits.
	collecting bool
	// patrolled: somebody will look whether calls still wait when the carriers
	// under way should long be back.
	patrolled bool
	left      time.Time // when the last carrier left
	company   bool      // it took more than one call
	near      bool      // the last one that has come back was back soon
}

// Limits are what suits a server.
type Limits struct {
	// Batch bounds how many calls travel together.
	Batch int
	// Near bounds how many batches are under way at a time as long as the server
	// answers soon: the fewer, the more travels in each. The time that a call may
	// wait for a carrier is short then.
	Near int
	// Far bounds it where a round trip takes long, or one that is under way does.
	Far int
}

// New returns a Convoy. start makes a carrier set out with first, the call that
// has waited longest; it must not block. A carrier calls Take and, when it is
// back, either Again and then Take, or End. One that takes nobody along calls Alone
// instead of Take; one that has not got as far as either calls End all the same.
func New[T comparable](limits Limits, start func(first T)) *Convoy[T] {
	return &Convoy[T]{limits: limits, start: start}
}

// Join lets c travel.
func (v *Convoy[T]) Join(c T) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.waiting = append(v.waiting, c)
	v.setOut()
	v.watch()
}

// Leave takes c out, and returns false if it does not wait: then it is with a
// carrier.
func (v *Convoy[T]) Leave(c T) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	i := slices.Index(v.waiting, c)
	if i < 0 {
		return false
	}
	v.waiting = slices.Delete(v.waiting, i, i+1)
	return true
}

// Withdraw takes out all that wait and are so.
func (v *Convoy[T]) Withdraw(are func(T) bool) (out []T) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.waiting = slices.DeleteFunc(v.waiting, func(c T) bool {
		if !are(c) {
			return false
		}
		out = append(out, c)
		return true
	})
	return out
}

// Take appends to batch, which holds what the carrier has already, the calls that
// it takes with it. What does not go into it is left to another carrier.
func (v *Convoy[T]) Take(batch []T) []T {
	if v.inCompany() {
		runtime.Gosched()
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.leaves()
	n := min(len(v.waiting), max(v.limits.Batch-len(batch), 0))
	batch = append(batch, v.waiting[:n]...)
	v.waiting = slices.Delete(v.waiting, 0, n)
	v.company = len(batch) > 1
	v.setOut()
	return batch
}

// Alone is for a carrier that leaves with what it has.
func (v *Convoy[T]) Alone() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.leaves()
	v.setOut()
}

func (v *Convoy[T]) leaves() { v.collecting, v.left = false, time.Now() }

// inCompany tells whether others may be about to join.
func (v *Convoy[T]) inCompany() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.company || v.carriers > 1 || len(v.waiting) > 0
}

// Again is for a carrier that is back, having left at the given time, and collects
// again: the callers that get their answers now leave their next calls to it.
func (v *Convoy[T]) Again(left time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.collecting, v.near = true, time.Since(left) < soon
}

// End is for a carrier that is back and collects no more; left is zero if it has
// not left, or had nothing to carry.
func (v *Convoy[T]) End(left time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.carriers--
	if left.IsZero() {
		v.collecting = false
	} else {
		v.near = time.Since(left) < soon
	}
	v.setOut()
}

// setOut makes one more carrier collect, unless one does or there are enough. The
// caller holds mu.
func (v *Convoy[T]) setOut() {
	enough := v.limits.Far
	if v.near && time.Since(v.left) < soon {
		enough = v.limits.Near
	}
	if len(v.waiting) == 0 || v.collecting || v.carriers >= enough {
		return
	}
	v.collecting = true
	v.carriers++
	first := v.waiting[0]
	v.waiting = slices.Delete(v.waiting, 0, 1)
	v.start(first)
}

// watch has somebody look after what waits, if something does. The caller holds
// mu.
func (v *Convoy[T]) watch() {
	if len(v.waiting) > 0 && !v.patrolled {
		v.patrolled = true
		time.AfterFunc(soon, v.patrol)
	}
}

// patrol lets another carrier set out for calls that wait for one which is not
// back as soon as they were told, as when a connection has gone silent under it,
// or which does not even leave.
func (v *Convoy[T]) patrol() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.patrolled = false
	if time.Since(v.left) >= soon {
		v.collecting = false
	}
	v.setOut()
	v.watch()
}
