// Package running counts what a store must wait for when it is closed.
package running

import (
	"sync"
	"time"
)

// Counter counts attempts, and what they leave behind in the background.
type Counter struct {
	closed chan struct{} // closed by Close

	// mu guards what follows.
	mu    sync.Mutex
	count int
	shut  bool
	idle  chan struct{} // closed when shut and count is 0 for the first time
	quiet bool          // idle is closed
}

// New returns a Counter of nothing.
func New() *Counter {
	return &Counter{closed: make(chan struct{}), idle: make(chan struct{})}
}

// Begin counts one in; false if the Counter was closed.
func (c *Counter) Begin() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.shut {
		return false
	}
	c.count++
	return true
}

// More counts in something that one which is counted itself leaves behind.
func (c *Counter) More() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.count++
}

// End counts one out.
func (c *Counter) End() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.count--
	c.tellIdle()
}

// tellIdle closes idle when it is time. The caller holds mu. What goes on after
// Close may count more in, so the count may come back to 0.
func (c *Counter) tellIdle() {
	if c.shut && c.count == 0 && !c.quiet {
		c.quiet = true
		close(c.idle)
	}
}

// Closed is closed when the Counter is.
func (c *Counter) Closed() <-chan struct{} { return c.closed }

// Close lets nothing begin any more, and waits for what has begun, at most
// timeout. It may be called more than once.
func (c *Counter) Close(timeout time.Duration) {
	c.shutDown()
	patience := time.NewTimer(timeout)
	defer patience.Stop()
	select {
	case <-c.idle:
	case <-patience.C:
	}
}

func (c *Counter) shutDown() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.shut {
		return
	}
	c.shut = true
	close(c.closed)
	c.tellIdle()
}
