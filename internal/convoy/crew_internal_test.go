package convoy

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// crew is one in a bubble, whose work waits for what it is given, unless that is
// nil.
type crew struct {
	*Crew[chan struct{}]
	done atomic.Int64
}

func newCrew() *crew {
	c := &crew{}
	c.Crew = NewCrew(func(held chan struct{}) {
		if held != nil {
			<-held
		}
		c.done.Add(1)
	})
	return c
}

func (c *crew) mustRest(t *testing.T, want int) {
	t.Helper()
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	if got := len(c.resting); got != want {
		t.Fatalf("%d rest, want %d", got, want)
	}
}

// atOnce has n work at the same time, and then nobody.
func (c *crew) atOnce(n int) {
	held := make(chan struct{})
	for range n {
		c.Start(held)
	}
	synctest.Wait()
	close(held)
}

func TestWhoHasWorkedTakesTheNext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCrew()
		c.atOnce(3)
		c.mustRest(t, 3)
		c.Start(nil)
		c.mustRest(t, 3) // 4 if it had been done by a new one
		c.atOnce(5)
		c.mustRest(t, 5)
		if done := c.done.Load(); done != 9 {
			t.Errorf("%d were done, want 9", done)
		}
		c.Close()
	})
}

func TestNobodyStaysForEver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCrew()
		defer c.Close()
		for n := 1; n < career; n++ {
			c.Start(nil)
			c.mustRest(t, 1)
		}
		c.Start(nil)
		c.mustRest(t, 0)
		c.Start(nil)
		c.mustRest(t, 1)
		if done := c.done.Load(); done != career+1 {
			t.Errorf("%d were done, want %d", done, career+1)
		}
	})
}

// The bubble itself fails if somebody is left in the end.
func TestWhoIsNotNeededGoes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCrew()
		for range 2 { // and begins anew
			c.atOnce(3)
			c.mustRest(t, 3)
			for range 20 {
				c.Start(nil)
				time.Sleep(lingerTime / 10)
			}
			c.mustRest(t, 1)
			time.Sleep(2*lingerTime + 1)
			c.mustRest(t, 0)
		}
		if c.watched {
			t.Error("a timer is set though nobody rests")
		}
	})
}

func TestClosedCrewKeepsNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCrew()
		held := make(chan struct{})
		c.Start(held)
		c.Start(nil)
		c.mustRest(t, 1)
		c.Close()
		c.mustRest(t, 0)
		close(held)
		c.Start(nil)
		c.mustRest(t, 0)
		c.Close()
		if done := c.done.Load(); done != 3 {
			t.Errorf("%d were done, want 3", done)
		}
	})
}

// Whoever is about to rest, to be called, to be sent away and to be closed at the
// same time: everything is done, and once.
func TestAllWorkIsDone(t *testing.T) {
	t.Parallel()
	const clients, each = 20, 2000
	var done [clients]atomic.Int64
	var ends [clients]chan struct{}
	c := NewCrew(func(client int) {
		done[client].Add(1)
		ends[client] <- struct{}{}
	})
	for client := range clients {
		ends[client] = make(chan struct{}, 1)
	}
	var all sync.WaitGroup
	for client := range clients {
		all.Go(func() {
			for i := range each {
				c.Start(client)
				<-ends[client]
				switch {
				case client == 0 && i%10 == 0:
					c.watch()
				case client == 1 && i >= each/2:
					c.Close()
				}
			}
		})
	}
	all.Wait()
	for client := range clients {
		if n := done[client].Load(); n != each {
			t.Errorf("%d of client %d were done, want %d", n, client, each)
		}
	}
}
