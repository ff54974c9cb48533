package txstore

import (
	"runtime"
	"sync"
	"time"
	"weak"

	"github.com/jackc/pgx/v5"
)

// held are the keys that a caller's transaction has reserved or committed. The
// database alone cannot tell: within one session its advisory locks are
// re-entrant, and would be got a second time.
type held struct {
	// mu guards what follows.
	mu      sync.Mutex
	started moment // of the transaction that byKey speaks of
	byKey   map[heldKey]*heldRecord
}

// heldKey is a key of a records table, through whichever Store.
type heldKey struct {
	table uint32
	key   string
}

// heldRecord is a reservation inside a caller's transaction. Whether it still
// holds is up to the transaction: rolling back to a savepoint undoes it there,
// and nobody tells us.
type heldRecord struct {
	ttl       time.Duration
	remember  time.Duration // how long a tombstone follows the record
	h         int32
	stale     string // attempt id of the record that it replaces
	attemptID string
	committed bool
}

// heldByConn finds what is held by the connection: a transaction may come to
// WithTx more than once and in more than one wrapper, and its connection is what
// stays the same. Weak, so that it keeps no closed connection alive.
var heldByConn sync.Map // weak.Pointer[pgx.Conn] → *held

func heldOn(conn *pgx.Conn) *held {
	p := weak.Make(conn)
	h, loaded := heldByConn.Load(p)
	if !loaded {
		if h, loaded = heldByConn.LoadOrStore(p, &held{}); !loaded {
			runtime.AddCleanup(conn, func(p weak.Pointer[pgx.Conn]) { heldByConn.Delete(p) }, p)
		}
	}
	return h.(*held)
}

// enter forgets what an earlier transaction of the connection held.
func (h *held) enter(started moment) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.started != started {
		h.started, h.byKey = started, make(map[heldKey]*heldRecord)
	}
}

func (h *held) get(k heldKey) *heldRecord {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.byKey[k]
}

func (h *held) put(k heldKey, r *heldRecord) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.byKey[k] = r
}

func (h *held) drop(k heldKey) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.byKey, k)
}
