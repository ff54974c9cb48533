package txstore

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
)

// batch is statements of the Store's own that travel together: one round trip,
// whatever their number. It is made of pgconn's parts and not of pgx's, whose
// bookkeeping for each statement would cost a request more than all else that
// the client does for it.
//
// A statement that fails makes the server skip those behind it. Results come in
// binary form, however the pool executes its users' queries.
type batch struct {
	conn   *pgx.Conn
	plans  *plans
	wire   pgconn.Batch
	queued int        // statements
	trace  *pgx.Batch // what a tracer is shown; nil without one
}

func newBatch(conn *pgx.Conn) *batch {
	b := &batch{conn: conn, plans: plansOn(conn)}
	if b.plans.tracer != nil {
		b.trace = &pgx.Batch{}
	}
	return b
}

var binaryFormat = []int16{pgtype.BinaryFormatCode}

// queue adds a statement; p may be nil. What is not prepared is parsed each time.
func (b *batch) queue(s *statement, p *params) {
	var values [][]byte
	if p != nil {
		values = p.values
	}
	if description := b.plans.prepared[s.name]; description != nil {
		b.wire.ExecStatement(description, values, binaryFormat, binaryFormat)
	} else {
		b.wire.ExecParams(s.sql, values, nil, binaryFormat, binaryFormat)
	}
	b.queued++
	if b.trace != nil {
		b.trace.Queue(s.sql) // without what a request says
	}
}

// send sends the batch. Its results must be closed.
func (b *batch) send(ctx context.Context) *results {
	r := &results{ctx: ctx, batch: b}
	if b.trace != nil {
		r.ctx = b.plans.tracer.TraceBatchStart(ctx, b.conn, pgx.TraceBatchStartData{Batch: b.trace})
	}
	r.reader = b.conn.PgConn().ExecBatch(r.ctx, &b.wire)
	return r
}

// results are read in the order of the statements.
type results struct {
	ctx    context.Context
	batch  *batch
	reader *pgconn.MultiResultReader
	read   int
}

// errNoResult: the server has answered fewer statements than it was sent, and
// has named no error.
var errNoResult = errors.New("txstore: the server has not answered a statement")

// next reads the next statement's result, its rows with scan, which may be nil.
// The command tag counts even if a row could not be read.
func (r *results) next(scan func(*row) error) (tag pgconn.CommandTag, err error) {
	if r.batch.trace != nil {
		began := time.Now()
		defer func() { r.traced(began, tag, err) }()
	}
	if !r.reader.NextResult() {
		if err := r.reader.Close(); err != nil {
			return tag, err
		}
		return tag, errNoResult
	}
	result := r.reader.ResultReader()
	var unread error
	for result.NextRow() {
		if scan != nil && unread == nil {
			unread = scan(&row{values: result.Values(), fields: result.FieldDescriptions()})
		}
	}
	if tag, err = result.Close(); err == nil {
		err = unread
	}
	return tag, err
}

// close reads what is left, and returns the first error of a statement.
func (r *results) close() error {
	err := r.reader.Close()
	if r.batch.trace != nil {
		r.batch.plans.tracer.TraceBatchEnd(r.ctx, r.batch.conn, pgx.TraceBatchEndData{Err: err})
	}
	return err
}

func (r *results) traced(began time.Time, tag pgconn.CommandTag, err error) {
	sql := r.batch.trace.QueuedQueries[r.read].SQL
	r.read++
	r.batch.plans.tracer.TraceBatchQuery(r.ctx, r.batch.conn,
		pgx.TraceBatchQueryData{SQL: sql, CommandTag: tag, Err: err, ReadStartTime: began})
}

// openTx returns pgx's handle of the transaction that is open on conn. pgx makes
// one only for a transaction that it begins itself, or that a batch begins: this
// batch has nothing in it, and nothing is sent.
func openTx(conn *pgx.Conn) pgx.Tx {
	return conn.SendBatch(context.Background(), onlyBegun).(interface{ Tx() pgx.Tx }).Tx()
}

// onlyBegun is one batch for all: pgx writes into statements, and it has none.
var onlyBegun = func() *pgx.Batch {
	b := &pgx.Batch{}
	b.BeginTx(pgx.TxOptions{BeginQuery: "begin"})
	b.QueuedQueries = nil
	return b
}()
