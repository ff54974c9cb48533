package txstore

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// errStoreEnds is what a handler hears that tries to end the store's
// transaction.
var errStoreEnds = errors.New("txstore: this transaction is committed or rolled back by the store when the handler has returned: answer with an error status or call idem.SetDisposition to undo its writes")

// errCopying is what a handler hears that uses its transaction inside the source
// of a CopyFrom on it.
var errCopying = errors.New("txstore: a CopyFrom is under way on this transaction")

// transaction is what the handles that a handler holds have in common. Once it
// is closed each of them answers pgx.ErrTxClosed: the connection may be running
// the next customer's transaction by then.
type transaction struct {
	store *Store
	conn  *pgx.Conn

	// mu guards what follows, and is held during each call on the connection:
	// who holds it with closed set knows that no call of the handler is under
	// way and none will begin.
	mu     sync.Mutex
	inner  pgx.Tx
	closed bool
	// savepoints are the handles of the open savepoints, outermost first.
	savepoints []*handle
	// largeObjects tells whether somebody holds pgx's own handle.
	largeObjects bool
	// copying: a CopyFrom is under way.
	copying bool
	// left: the handler was seen outside of any transaction. It has ended the
	// store's by itself, whatever it is in now.
	left bool
	// doubtful: the handler has sent what may commit the transaction.
	doubtful bool
	// conflict is the first error of class 40 since the transaction last was in
	// a good state.
	conflict error
}

func newTransaction(s *Store, p *probe) *transaction {
	return &transaction{store: s, conn: p.conn.Conn(), inner: openTx(p.conn.Conn())}
}

// handle returns the handler's view of the whole transaction.
func (t *transaction) handle() *handle { return &handle{t: t, tx: t.inner, outer: true} }

// closePatience is how long close waits for a call under way.
const closePatience = 250 * time.Millisecond

// close takes the transaction from the handler. A call that is still under way
// was left behind in a goroutine; the connection is cut off under it. A CopyFrom
// may not even heed that: it is told of, and the connection must be abandoned.
func (t *transaction) close() (copying bool) {
	if !t.mu.TryLock() {
		cut := time.AfterFunc(closePatience, func() { _ = t.conn.PgConn().Conn().Close() })
		t.mu.Lock()
		cut.Stop()
	}
	defer t.mu.Unlock()
	t.closed = true
	return t.copying
}

// disarm closes pgx's own handle, which only large objects hold. It is called
// between the transaction's end and the connection's return to the pool: a
// commit on a cancelled context sends nothing then, and leaves the connection
// alone because that is outside a transaction.
func (t *transaction) disarm() {
	if !t.largeObjects {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = t.inner.Commit(ctx)
}

// note remembers what matters of a call's outcome. The caller holds mu.
func (t *transaction) note(err error) {
	if t.conflict == nil && isConflict(err) {
		t.conflict = err
	}
}

// enter begins a call on the connection; leave ends it.
func (t *transaction) enter() error {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return pgx.ErrTxClosed
	}
	if t.copying {
		t.mu.Unlock()
		return errCopying
	}
	switch t.conn.PgConn().TxStatus() {
	case 'T':
		// Rolled back to a savepoint since, by handle or by hand.
		t.conflict = nil
	case 'I':
		t.left = true // by rows or a batch, whose results were read after their call
	}
	return nil
}

func (t *transaction) leave(err error) {
	t.note(err)
	t.left = t.left || t.conn.PgConn().TxStatus() == 'I'
	t.mu.Unlock()
}

// noteLater is note for results that are read after their call.
func (t *transaction) noteLater(err error) {
	if !isConflict(err) {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.note(err)
}

// dropSavepoint forgets a savepoint and those inside it, which end with it.
func (t *transaction) dropSavepoint(h *handle) {
	for i, s := range t.savepoints {
		if s != h {
			continue
		}
		for _, inside := range t.savepoints[i:] {
			inside.ended = true
		}
		t.savepoints = t.savepoints[:i]
		return
	}
}
