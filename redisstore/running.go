package redisstore

import (
	"fmt"
	"sync"
	"time"

	"github.com/pgidem/pgidem/idem"
)

// running counts what Close must wait for: attempts, and calls that their
// callers no longer wait for.
type running struct {
	closed chan struct{} // closed by close

	// mu guards what follows.
	mu    sync.Mutex
	count int
	shut  bool
	idle  chan struct{} // closed when shut and count is 0 for the first time
	quiet bool          // idle is closed
}

func newRunning() *running {
	return &running{closed: make(chan struct{}), idle: make(chan struct{})}
}

// begin counts one in, unless the Store was closed.
func (r *running) begin() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.shut {
		return errClosed()
	}
	r.count++
	return nil
}

// more counts in something that one which is counted itself leaves behind.
func (r *running) more() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count++
}

func (r *running) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count--
	r.tellIdle()
}

// tellIdle closes idle when it is time. The caller holds mu. A Commit after Close
// makes a call, so the count may come back to 0.
func (r *running) tellIdle() {
	if r.shut && r.count == 0 && !r.quiet {
		r.quiet = true
		close(r.idle)
	}
}

// close lets nothing begin any more, and waits for what has begun.
func (r *running) close(timeout time.Duration) {
	r.shutDown()
	patience := time.NewTimer(timeout)
	defer patience.Stop()
	select {
	case <-r.idle:
	case <-patience.C:
	}
}

func (r *running) shutDown() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.shut {
		return
	}
	r.shut = true
	close(r.closed)
	r.tellIdle()
}

func errClosed() error { return fmt.Errorf("redisstore: %w", idem.ErrStoreClosed) }
