package txstore

import (
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// notedRows, notedRow and notedBatch tell the transaction of a conflict that
// comes with the results, after the call that asked for them.

type notedRows struct {
	pgx.Rows
	t *transaction
}

func (r *notedRows) Next() bool {
	more := r.Rows.Next()
	if !more {
		r.t.noteLater(r.Rows.Err())
	}
	return more
}

func (r *notedRows) Close() {
	r.Rows.Close()
	r.t.noteLater(r.Rows.Err())
}

type notedRow struct {
	pgx.Row
	t *transaction
}

func (r notedRow) Scan(dest ...any) error {
	err := r.Row.Scan(dest...)
	r.t.noteLater(err)
	return err
}

type notedBatch struct {
	pgx.BatchResults
	t *transaction
}

func (b *notedBatch) Exec() (pgconn.CommandTag, error) {
	tag, err := b.BatchResults.Exec()
	b.t.noteLater(err)
	return tag, err
}

func (b *notedBatch) Query() (pgx.Rows, error) {
	rows, err := b.BatchResults.Query()
	b.t.noteLater(err)
	return &notedRows{Rows: rows, t: b.t}, err
}

func (b *notedBatch) QueryRow() pgx.Row {
	return notedRow{Row: b.BatchResults.QueryRow(), t: b.t}
}

func (b *notedBatch) Close() error {
	err := b.BatchResults.Close()
	b.t.noteLater(err)
	return err
}

// failed are the results of a call that was never sent.
func failed(err error) pgx.BatchResults {
	return pgx.FailedBatchResults(&pgx.Batch{}, err)
}

// closedTx is a transaction of pgx that was never open.
func closedTx() pgx.Tx {
	var b pgx.Batch
	b.BeginTx(pgx.TxOptions{})
	return pgx.FailedBatchResults(&b, pgx.ErrTxClosed).(interface{ Tx() pgx.Tx }).Tx()
}
