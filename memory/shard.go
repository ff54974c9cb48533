package memory

import (
	"container/heap"
	"sync"
	"time"

	"github.com/pgidem/pgidem/idem"
)

// dropsPerCall is how many expired records each call drops on its way. A call
// adds at most one record, so two keep up with any load and still cost little.
const dropsPerCall = 2

// shard holds the records of the keys that hash to it.
type shard struct {
	// mu guards the shard and its records. It is never held while waiting, nor
	// together with another shard's; an Attempt's mutex may be taken inside it.
	mu      sync.Mutex
	records map[string]*record
	expiry  expiryHeap
	usage   *usage

	_ [64]byte // keeps neighbours' locks off each other's cache line
}

// find returns the live record of key, or its tombstone, or nil.
func (sh *shard) find(key string, now time.Time) *record {
	sh.dropExpired(now, dropsPerCall)
	rec := sh.records[key]
	if rec != nil && rec.expired(now) {
		heap.Remove(&sh.expiry, rec.heapIndex)
		return sh.expire(rec, now)
	}
	return rec
}

// dropExpired drops at most limit expired records, the longest expired first. A
// record that becomes a tombstone counts as well.
func (sh *shard) dropExpired(now time.Time, limit int) {
	for ; limit > 0 && len(sh.expiry) > 0 && sh.expiry[0].expired(now); limit-- {
		sh.expire(heap.Pop(&sh.expiry).(*record), now)
	}
}

// expire ends an expired record that was taken out of the heap. It returns the
// tombstone that takes its place, or nil.
func (sh *shard) expire(rec *record, now time.Time) *record {
	t := rec.entomb(now)
	if t == nil {
		sh.forget(rec)
		return nil
	}
	sh.usage.grow(t.bytes - rec.bytes)
	sh.records[t.key] = t
	heap.Push(&sh.expiry, t)
	return t
}

func (sh *shard) dropAllExpired(now time.Time) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.dropExpired(now, len(sh.expiry))
}

// insert adds a new reservation if the limits allow it.
func (sh *shard) insert(rec *record) error {
	if err := sh.usage.admit(rec.bytes); err != nil {
		return err
	}
	sh.records[rec.key] = rec
	return nil
}

func (sh *shard) forget(rec *record) {
	delete(sh.records, rec.key)
	sh.usage.remove(rec.bytes)
}

// complete turns a reservation into a record that is replayed from now on, and
// wakes everyone who waits for it.
func (sh *shard) complete(rec *record, response idem.Cached, now time.Time) {
	rec.header.set(response.Header)
	added := int64(len(response.Body)) + rec.header.bytes()
	sh.usage.grow(added)
	rec.bytes += added
	rec.response, rec.response.Header = response, nil
	rec.expiresAt = now.Add(rec.ttl)
	rec.completed = true
	heap.Push(&sh.expiry, rec)
	wakeAll(rec)
}

// release ends a reservation. The longest waiter gets the key, and nobody else
// is woken; without waiters the key is free.
func (sh *shard) release(rec *record) {
	w := nextWaiter(rec)
	if w == nil {
		sh.forget(rec)
		return
	}
	next := w.record
	next.waiters = rec.waiters
	// Same key and same hash, hence the same size: usage stays as it is.
	sh.records[next.key] = next
	w.end(next, true)
}
