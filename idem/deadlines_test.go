package idem

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// begin adds a handler that begins now.
func (d *deadlines) begin() *handlerRun { return d.began(time.Now()) }

func (d *deadlines) began(at time.Time) *handlerRun {
	h := new(handlerRun)
	h.changed.L = &h.mu
	h.ctx.deadline = at.Add(d.limit)
	d.add(h)
	return h
}

func (h *handlerRun) told() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.overtime
}

// Each handler is told when its own time is over, whichever of the others have
// returned before, and none that has returned is told.
func TestDeadlinesTellEachInItsTime(t *testing.T) {
	t.Parallel()
	const count = 5
	for name, returning := range map[string][]int{
		"None":       nil,
		"First":      {0},
		"Middle":     {2, 1},
		"Neighbours": {1, 2},
		"Last":       {4},
		"AllButLast": {3, 0, 2, 1},
		"All":        {0, 1, 2, 3, 4},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				d := newDeadlines(time.Minute)
				var runs [count]*handlerRun
				for i := range runs {
					runs[i] = d.begin()
					time.Sleep(time.Second)
				}
				for _, i := range returning {
					d.remove(runs[i])
				}
				time.Sleep(time.Minute - count*time.Second - 1) // one tick before the first deadline
				for i := range runs {
					synctest.Wait()
					if runs[i].told() {
						t.Errorf("%d was told too early", i)
					}
					time.Sleep(1)
					synctest.Wait()
					if want := !slices.Contains(returning, i); runs[i].told() != want {
						t.Errorf("%d told: %t, want %t", i, !want, want)
					}
					time.Sleep(time.Second - 1)
				}
			})
		})
	}
}

// A timer that found nobody is set again for who comes later, and one that was
// set for a handler that has returned does not tell the next too early.
func TestDeadlinesAfterAPause(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDeadlines(time.Minute)
		for _, pause := range []time.Duration{0, time.Second, time.Hour} {
			h := d.begin()
			time.Sleep(time.Second)
			d.remove(h)
			d.remove(h)
			time.Sleep(pause)
			h = d.begin()
			time.Sleep(time.Minute - 1)
			synctest.Wait()
			early := h.told()
			time.Sleep(1)
			synctest.Wait()
			if late := !h.told(); early || late {
				t.Errorf("after %v: early %t, late %t", pause, early, late)
			}
			d.remove(h)
		}
		if d.first != nil || d.last != nil {
			t.Error("the list is not empty")
		}
	})
}

// A request that lost its processor on the way here has lost it from its time.
func TestDeadlinesCountFromTheBeginning(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDeadlines(time.Minute)
		for _, late := range []time.Duration{10 * time.Second, time.Minute, time.Hour} {
			h := d.began(time.Now().Add(-late))
			time.Sleep(max(0, time.Minute-late))
			synctest.Wait()
			if !h.told() {
				t.Errorf("%v late: not told in time", late)
			}
			d.remove(h)
			time.Sleep(time.Minute)
		}
	})
}
