package memory

import (
	"container/list"
	"context"
	"errors"

	"github.com/pgidem/pgidem/idem"
)

// waiter is one Reserve that waits for the end of another attempt. All waiters
// of a record have its hash: any other was refused.
type waiter struct {
	queue *list.List
	place *list.Element
	// ended is closed under the shard's mutex, after record and fresh are set;
	// who saw it closed may read them.
	ended chan struct{}
	// record is the waiter's own reservation-to-be, then what it waited for.
	record *record
	fresh  bool
}

// enqueue adds a waiter behind rec that will hold own if its turn comes.
func enqueue(rec, own *record) *waiter {
	if rec.waiters == nil {
		rec.waiters = list.New()
	}
	w := &waiter{queue: rec.waiters, ended: make(chan struct{}), record: own}
	w.place = w.queue.PushBack(w)
	return w
}

// nextWaiter takes the longest waiter out of rec's queue, nil if there is none.
func nextWaiter(rec *record) *waiter {
	if rec.waiters == nil || rec.waiters.Len() == 0 {
		return nil
	}
	return rec.waiters.Remove(rec.waiters.Front()).(*waiter)
}

// wakeAll tells every waiter of rec that it is completed.
func wakeAll(rec *record) {
	for w := nextWaiter(rec); w != nil; w = nextWaiter(rec) {
		w.end(rec, false)
	}
	rec.waiters = nil
}

func (w *waiter) end(rec *record, fresh bool) {
	w.record, w.fresh = rec, fresh
	close(w.ended)
}

// wait blocks until w has ended, or ctx or the store does.
func (s *Store) wait(ctx context.Context, sh *shard, w *waiter) (*idem.Cached, bool, error) {
	select {
	case <-w.ended:
	case <-ctx.Done():
		if w.leave(sh) {
			return nil, false, waitError(ctx)
		}
	case <-s.closed:
		if w.leave(sh) {
			return nil, false, errClosed()
		}
	}
	if w.fresh {
		w.record.own(ctx)
		return nil, true, nil
	}
	return copyOf(w.record), false, nil
}

// leave takes w out of its queue. It reports false if w has ended meanwhile:
// the key may be its own already, and must not be lost.
func (w *waiter) leave(sh *shard) bool {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	select {
	case <-w.ended:
		return false
	default:
		w.queue.Remove(w.place)
		return true
	}
}

// waitError is the error of a wait that ctx has ended.
func waitError(ctx context.Context) error {
	if err := ctx.Err(); !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return idem.ErrWaitTimeout
}
