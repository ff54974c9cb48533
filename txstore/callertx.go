package txstore

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"
	"weak"

	"github.com/jackc/pgx/v5"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/internal/record"
)

type callerTxKey struct{}

// WithTx returns a context in which the verbs of a Store work inside tx, a
// transaction of the caller's own, for code that is no HTTP handler or that
// already has one. The reservation and the record become durable with the
// caller's Commit, and vanish with its Rollback.
//
// The verbs never wait there and never end tx: a key in flight elsewhere is
// [idem.ErrInFlight], for waiting inside a transaction can deadlock where
// PostgreSQL does not see it. A unique violation at Commit is
// [idem.ErrSuperseded]; tx is aborted then and must be rolled back.
//
// WithTx prevails over an attempt in ctx. Do not put it around RESTMiddleware:
// the response would leave before the caller has committed.
func WithTx(ctx context.Context, tx pgx.Tx) context.Context {
	attempt, _ := idem.AttemptFromContext(ctx)
	return context.WithValue(ctx, callerTxKey{}, &callerTx{tx: tx, attempt: attempt})
}

// callerTx is a transaction that somebody else ends.
type callerTx struct {
	tx      pgx.Tx
	attempt *idem.Attempt // in force when WithTx was called
}

func callerTxFrom(ctx context.Context) (*callerTx, bool) {
	c, ok := ctx.Value(callerTxKey{}).(*callerTx)
	return c, ok
}

// nearest tells whether no attempt has begun since WithTx.
func (c *callerTx) nearest(ctx context.Context) bool {
	attempt, _ := idem.AttemptFromContext(ctx)
	return attempt == c.attempt
}

// held are the keys that one transaction on a connection has reserved or
// committed. The database cannot be asked: within one session its advisory locks
// are re-entrant, and would be got a second time.
type held struct {
	// mu guards what follows.
	mu      sync.Mutex
	started int64 // of the transaction that byKey speaks of
	byKey   map[heldKey]*heldRecord
}

type heldKey struct {
	store *Store
	key   string
}

// heldRecord is a reservation inside a caller's transaction.
type heldRecord struct {
	hash      string
	ttl       time.Duration
	h         int32
	started   int64  // of its transaction
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
	if h, ok := heldByConn.Load(p); ok {
		return h.(*held) //nolint:errcheck // nothing else is stored
	}
	h, loaded := heldByConn.LoadOrStore(p, &held{})
	if !loaded {
		runtime.AddCleanup(conn, func(p weak.Pointer[pgx.Conn]) { heldByConn.Delete(p) }, p)
	}
	return h.(*held) //nolint:errcheck // nothing else is stored
}

// get returns what the transaction that began at started holds of key.
func (h *held) get(started int64, k heldKey) *heldRecord {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.started != started {
		h.started, h.byKey = started, make(map[heldKey]*heldRecord)
	}
	return h.byKey[k]
}

func (h *held) put(k heldKey, r *heldRecord) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if r == nil {
		delete(h.byKey, k)
		return
	}
	h.byKey[k] = r
}

// current returns what the connection holds of key, whatever its transaction.
func (h *held) current(k heldKey) *heldRecord {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.byKey[k]
}

// A caller's transaction takes the key's lock like any other attempt, but keeps
// its own settings. $3 is there for the look at what this session holds already.
const callerOpenSQL = `SELECT
    EXISTS (
        SELECT FROM pg_catalog.pg_locks
        WHERE locktype = 'advisory'
            AND classid = ($1::int4)::bigint::oid
            AND objid = (CASE WHEN $2::int4 < 0 THEN ($2::int4)::bigint + 4294967296 ELSE $2::int4 END)::oid
            AND objsubid = 2
            AND pid = pg_catalog.pg_backend_pid()
            AND $3::boolean
    ),
    `

func (c *callerTx) reserve(ctx context.Context, s *Store, key, hash string, ttl time.Duration) (*idem.Cached, bool, error) {
	t, err := s.loadTableIn(ctx, c.tx)
	if err != nil {
		return nil, false, err
	}
	held, k := heldOn(c.tx.Conn()), heldKey{store: s, key: key}
	again := held.current(k) != nil
	p := &probe{table: t, h: t.hash(key)}
	var had bool
	var b pgx.Batch
	b.Queue(callerOpenSQL+callerLockColumn(s)+callerStartedColumn, int32(keyClass), p.h, again)
	b.Queue(t.lookup, key)
	br := c.tx.SendBatch(ctx, &b)
	err = br.QueryRow().Scan(&had, &p.locked, &p.started)
	if err == nil {
		var rows pgx.Rows
		if rows, err = br.Query(); err == nil {
			p.found, err = scanFound(rows)
		}
	}
	if closeErr := br.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return nil, false, fmt.Errorf("txstore: reserving in the caller's transaction: %w", err)
	}
	own := held.get(p.started, k)
	switch cached := p.found.completed(); {
	case cached != nil:
		return cached, false, nil
	case own != nil && !own.committed && (had || s.config.DisableLocks):
		// Reserved earlier in this transaction, and not rolled back to a
		// savepoint since, for then the lock would be gone.
		return nil, false, idem.ErrNested
	case !p.fresh():
		return nil, false, idem.ErrInFlight
	}
	attemptID := newAttemptID(ctx)
	held.put(k, &heldRecord{hash: hash, ttl: min(ttl, maxTTL), h: p.h, started: p.started, stale: p.found.attemptID, attemptID: attemptID})
	return nil, true, nil
}

func callerLockColumn(s *Store) string {
	if s.config.DisableLocks {
		return noLockColumn
	}
	return lockColumn
}

const callerStartedColumn = `,
    (extract(epoch FROM transaction_timestamp()) * 1000000)::bigint`

// newAttemptID returns a new attempt's id, for a reservation that has no attempt
// of its own in ctx.
func newAttemptID(ctx context.Context) string {
	_, attempt := idem.WithAttempt(ctx, idem.AttemptConfig{})
	return attempt.ID()
}

// commit inserts the record in the caller's transaction. The notification goes
// into it as well and is sent when the caller commits.
func (c *callerTx) commit(ctx context.Context, s *Store, key, hash string, response idem.Cached) error {
	held, k := heldOn(c.tx.Conn()), heldKey{store: s, key: key}
	own := held.current(k)
	switch {
	case own == nil:
		return fmt.Errorf("txstore: %w", idem.ErrNotReserved)
	case own.committed && own.hash != hash:
		return idem.ErrHashMismatch
	case own.committed:
		return nil
	}
	t, err := s.loadTableIn(ctx, c.tx)
	if err != nil {
		return err
	}
	response.RequestHash = hash
	var b pgx.Batch
	if own.stale != "" {
		b.Queue(t.deleteStale, key, own.stale)
	}
	b.Queue(t.insert, own.started, own.attemptID, own.ttl.Microseconds(), int32(response.Status), int16(record.Format), //nolint:gosec // a status has three digits
		key, hash, record.EncodeHeader(response.Header), notNil(response.Body))
	if !s.config.DisableLocks {
		b.Queue(wakeSQL, int32(waitClass), own.h)
	}
	err = c.tx.SendBatch(ctx, &b).Close()
	switch {
	case err == nil:
		own.hash, own.committed = hash, true
		return nil
	case t.ownConflict(err):
		return fmt.Errorf("%w: %w", idem.ErrSuperseded, err)
	case t.guarded(err):
		// It was reserved in an earlier transaction of this connection.
		return fmt.Errorf("txstore: %w", idem.ErrNotReserved)
	}
	return &idem.CommitError{Retryable: isRetryable(err), Err: err}
}

// release forgets the reservation. Its lock stays until the caller ends the
// transaction: PostgreSQL releases such locks only then.
func (c *callerTx) release(s *Store, key string) error {
	held, k := heldOn(c.tx.Conn()), heldKey{store: s, key: key}
	if own := held.current(k); own != nil && !own.committed {
		held.put(k, nil)
	}
	return nil
}

// loadTableIn is loadTable inside a caller's transaction. A missing table must
// not abort that, and does not: nothing names it until it was found.
func (s *Store) loadTableIn(ctx context.Context, tx pgx.Tx) (*table, error) {
	conn := tx.Conn()
	if conn == nil {
		return nil, errors.New("txstore: WithTx: the transaction has no connection")
	}
	return s.loadTable(ctx, conn)
}
