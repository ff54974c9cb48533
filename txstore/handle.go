package txstore

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// handle is the pgx.Tx that a handler gets: for the whole transaction, or for a
// savepoint in it.
//
// What cannot be fenced is Conn: who keeps the *pgx.Conn beyond the request
// holds the next request's connection.
type handle struct {
	t     *transaction
	tx    pgx.Tx
	outer bool
	ended bool // a savepoint that was released or rolled back; guarded by t.mu
}

var _ pgx.Tx = (*handle)(nil)

func (h *handle) enter() error {
	if err := h.t.enter(); err != nil {
		return err
	}
	if h.ended {
		h.t.mu.Unlock()
		return pgx.ErrTxClosed
	}
	return nil
}

// Begin opens a savepoint.
func (h *handle) Begin(ctx context.Context) (_ pgx.Tx, err error) {
	if err := h.enter(); err != nil {
		return nil, err
	}
	defer func() { h.t.leave(err) }() // also after a panic
	tx, err := h.tx.Begin(ctx)
	if err != nil {
		return nil, err
	}
	savepoint := &handle{t: h.t, tx: tx}
	h.t.savepoints = append(h.t.savepoints, savepoint)
	return savepoint, nil
}

// Commit releases a savepoint. On the whole transaction it is refused.
func (h *handle) Commit(ctx context.Context) error { return h.end(ctx, pgx.Tx.Commit) }

// Rollback rolls back to a savepoint. On the whole transaction it is refused
// and has no effect, so that a deferred one does no harm.
func (h *handle) Rollback(ctx context.Context) error { return h.end(ctx, pgx.Tx.Rollback) }

func (h *handle) end(ctx context.Context, end func(pgx.Tx, context.Context) error) (err error) {
	if err := h.enter(); err != nil {
		return err
	}
	defer func() { h.t.leave(err) }()
	if h.outer {
		return errStoreEnds
	}
	err = end(h.tx, ctx)
	if err == nil || isServerRefusal(err) {
		h.t.dropSavepoint(h)
	}
	// Or else nothing was sent, as with a context that had ended or rows that were
	// open: what the savepoint was to undo still stands.
	return err
}

func (h *handle) Exec(ctx context.Context, sql string, args ...any) (tag pgconn.CommandTag, err error) {
	if err := h.enter(); err != nil {
		return tag, err
	}
	h.t.doubt(sql)
	defer func() { h.t.leave(err) }()
	return h.tx.Exec(ctx, sql, args...)
}

func (h *handle) Query(ctx context.Context, sql string, args ...any) (rows pgx.Rows, err error) {
	if err := h.enter(); err != nil {
		return failed(err).Query()
	}
	h.t.doubt(sql)
	defer func() { h.t.leave(err) }()
	rows, err = h.tx.Query(ctx, sql, args...)
	return &notedRows{Rows: rows, t: h.t}, err
}

func (h *handle) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	if err := h.enter(); err != nil {
		return failed(err).QueryRow()
	}
	h.t.doubt(sql)
	defer h.t.leave(nil)
	return notedRow{Row: h.tx.QueryRow(ctx, sql, args...), t: h.t}
}

func (h *handle) SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults {
	if err := h.enter(); err != nil {
		return pgx.FailedBatchResults(b, err)
	}
	defer h.t.leave(nil)
	for _, q := range b.QueuedQueries {
		h.t.doubt(q.SQL)
	}
	return &notedBatch{BatchResults: h.tx.SendBatch(ctx, b), t: h.t}
}

func (h *handle) CopyFrom(ctx context.Context, table pgx.Identifier, columns []string, rows pgx.CopyFromSource) (n int64, err error) {
	if err := h.enter(); err != nil {
		return 0, err
	}
	// The source is the handler's own code, which may call or never return:
	// nothing waits for it.
	h.t.copying = true
	h.t.mu.Unlock()
	defer func() {
		h.t.mu.Lock()
		h.t.copying = false
		h.t.leave(err)
	}()
	return h.tx.CopyFrom(ctx, table, columns, rows)
}

func (h *handle) Prepare(ctx context.Context, name, sql string) (sd *pgconn.StatementDescription, err error) {
	if err := h.enter(); err != nil {
		return nil, err
	}
	h.t.doubt(sql)
	defer func() { h.t.leave(err) }()
	return h.tx.Prepare(ctx, name, sql)
}

// LargeObjects returns a handle that is closed with the transaction.
func (h *handle) LargeObjects() pgx.LargeObjects {
	h.t.mu.Lock()
	defer h.t.mu.Unlock()
	if h.t.closed {
		return closedTx().LargeObjects()
	}
	h.t.largeObjects = true
	return h.tx.LargeObjects()
}

// Conn returns the connection itself, past every guard of the transaction: it
// must not be used after the handler has returned, nor to end the transaction,
// which nobody would find out if another was begun and a statement failed in it.
func (h *handle) Conn() *pgx.Conn { return h.tx.Conn() }
