package txstore

import (
	"cmp"
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

	args    params
	results results
}

// newBatch returns conn's batch, empty. A connection has one, for it serves one
// request at a time, and one batch of it at a time.
func newBatch(conn *pgx.Conn) *batch {
	p := plansOn(conn)
	b := &p.batch
	b.empty()
	b.conn, b.plans, b.queued = conn, p, 0
	if p.tracer != nil {
		b.trace = &pgx.Batch{}
	}
	return b
}

// empty lets go of all that a request has put into b: the connection goes on.
func (b *batch) empty() {
	b.wire, b.trace, b.results = pgconn.Batch{}, nil, results{}
	b.args.reset()
}

// params returns the parameters of the statement that is queued next, none yet.
func (b *batch) params() *params {
	b.args.reset()
	return &b.args
}

var binaryFormat = []int16{pgtype.BinaryFormatCode}

// queue adds a statement; p may be nil. What is not prepared is parsed each time.
func (b *batch) queue(s *statement, p *params) {
	if description := b.plans.prepared[s.name]; description != nil {
		b.wire.ExecStatement(description, p.all(), binaryFormat, binaryFormat)
	} else {
		b.wire.ExecParams(s.sql, p.all(), nil, binaryFormat, binaryFormat)
	}
	b.queued++
	if b.trace != nil {
		b.trace.Queue(s.sql) // without what a request says
	}
}

// send sends the batch. Its results must be closed.
func (b *batch) send(ctx context.Context) *results {
	b.results = results{ctx: ctx, batch: b}
	r := &b.results
	if b.trace != nil {
		r.ctx = b.plans.tracer.TraceBatchStart(ctx, b.conn, pgx.TraceBatchStartData{Batch: b.trace})
	}
	r.reader = b.conn.PgConn().ExecBatch(r.ctx, &b.wire)
	return r
}

// only executes a statement by itself, in an empty batch, and reads its rows with
// scan. Of one statement pgconn makes less than of a batch of one.
func (b *batch) only(ctx context.Context, s *statement, p *params, scan func(*row) error) (err error) {
	if b.trace != nil {
		b.queue(s, p)
		r := b.send(ctx)
		_, err := r.next(scan)
		return cmp.Or(err, r.close())
	}
	defer b.empty()
	var reader *pgconn.ResultReader
	if description := b.plans.prepared[s.name]; description != nil {
		reader = b.conn.PgConn().ExecStatement(ctx, description, p.all(), binaryFormat, binaryFormat)
	} else {
		reader = b.conn.PgConn().ExecParams(ctx, s.sql, p.all(), nil, binaryFormat, binaryFormat)
	}
	_, err = b.results.rows(reader, scan)
	return err
}

// results are read in the order of the statements.
type results struct {
	ctx    context.Context
	batch  *batch
	reader *pgconn.MultiResultReader
	read   int
	row    row // the current one
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
	return r.rows(r.reader.ResultReader(), scan)
}

// rows reads the rows of one statement.
func (r *results) rows(reader *pgconn.ResultReader, scan func(*row) error) (tag pgconn.CommandTag, err error) {
	var unread error
	for reader.NextRow() {
		if scan != nil && unread == nil {
			r.row = row{values: reader.Values(), fields: reader.FieldDescriptions()}
			unread = scan(&r.row)
		}
	}
	if tag, err = reader.Close(); err == nil {
		err = unread
	}
	return tag, err
}

// close reads what is left, and returns the first error of a statement. It ends the
// batch.
func (r *results) close() error {
	defer r.batch.empty()
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
