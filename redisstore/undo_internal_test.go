package redisstore

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/pgidem/pgidem/internal/convoy"
	"github.com/pgidem/pgidem/internal/running"
)

// A Release that is answered does not make a Commit of the same attempt forgotten
// that is still under way.
func TestCallsOfOneAttemptAreAllWaitedFor(t *testing.T) {
	t.Parallel()
	var c calls
	o := owner{"k", "a"}
	commit, release := c.begin(o), c.begin(o)
	release()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := c.wait(ctx, o); err == nil {
		t.Error("the Commit is still under way, and nobody waits for it")
	}
	commit()
	if err := c.wait(t.Context(), o); err != nil || len(c.of) != 0 {
		t.Errorf("%v, and %d are kept", err, len(c.of))
	}
}

// Two calls of one attempt that were both given its lease are told apart also where
// neither has bound it yet.
func TestOfOneAttemptOnlyOneReservationLives(t *testing.T) {
	t.Parallel()
	var l live
	one, two, other := &reservation{key: "k", id: "a"}, &reservation{key: "k", id: "a"}, &reservation{key: "k", id: "b"}
	if !l.add(one) || l.add(two) {
		t.Error("not exactly the first one of the attempt is live")
	}
	if !l.add(other) || l.byKey["k"] != other {
		t.Error("another attempt does not take over")
	}
}

// A call that was left is not sent, unless its caller wants it done even so.
func TestCallsThatWereLeftAreDropped(t *testing.T) {
	t.Parallel()
	s := &Store{running: running.New()}
	d := &sender{store: s}
	batch := make([]*call, 4)
	for i := range batch {
		batch[i] = newCall(t.Context(), nil, nil)
		s.running.More()
	}
	left, stays := batch[1], batch[2]
	left.over.Store(true)
	stays.over.Store(true)
	stays.stays = true
	if kept := d.waitedFor(slices.Clone(batch)); !slices.Equal(kept, []*call{batch[0], batch[2], batch[3]}) {
		t.Errorf("%d of %d calls are kept", len(kept), len(batch))
	}
}

// While no carrier comes back, what was left behind does not pile up.
func TestCallsThatWereLeftAreWeededOut(t *testing.T) {
	t.Parallel()
	s := &Store{running: running.New()}
	silent := func(*call) {} // a carrier that is never back
	d := &sender{store: s, convoy: convoy.New(convoy.Limits{Batch: 64, Near: 1, Far: 1}, silent)}
	queue := make([]*call, 4)
	for i := range queue {
		queue[i] = newCall(t.Context(), nil, nil)
		s.running.More()
		d.send(queue[i]) // the first one is with the carrier
	}
	queue[1].over.Store(true)
	queue[3].over.Store(true)
	for range weeding {
		d.left()
	}
	if waiting := d.convoy.Withdraw(func(*call) bool { return true }); !slices.Equal(waiting, queue[2:3]) {
		t.Errorf("%d calls wait, want the one that was not left", len(waiting))
	}
}
