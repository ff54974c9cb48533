package txstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/internal/record"
)

const (
	// serverGrace is how much longer than the handler may run the server lets
	// the transaction idle. It only matters when nobody is left to end it.
	serverGrace = 500 * time.Millisecond
	// checkInterval is how often the server looks, while it executes a
	// statement, whether the client is still there.
	checkInterval = "1s"
	// minProbeTime is what a look-up is given even if its caller's deadline is
	// nearer: cut short, it would cost the connection.
	minProbeTime = 500 * time.Millisecond
	// maxProbeTries bounds how often a look-up is repeated on other connections.
	maxProbeTries = 4
)

// The first statement of a transaction takes the key's lock, if it is free, and
// bounds how long the server keeps the transaction when nobody ends it:
// $3 milliseconds idle (0: as configured), never longer than configured; and a
// client that is gone is noticed in the middle of a statement.
const (
	lockColumn   = `pg_catalog.pg_try_advisory_xact_lock($1::int4, $2::int4)`
	noLockColumn = `$1::int4 IS NOT NULL AND $2::int4 IS NOT NULL`

	openColumns = `,
    (extract(epoch FROM transaction_timestamp()) * 1000000)::bigint,
    pg_catalog.pg_backend_pid(),
    pg_catalog.set_config('idle_in_transaction_session_timeout', CASE
        WHEN $3::bigint = 0 THEN pg_catalog.current_setting('idle_in_transaction_session_timeout')
        WHEN pg_catalog.current_setting('idle_in_transaction_session_timeout') = '0' THEN ($3::bigint)::text
        WHEN pg_catalog.current_setting('idle_in_transaction_session_timeout')::interval
            > $3::bigint * interval '1 millisecond' THEN ($3::bigint)::text
        ELSE pg_catalog.current_setting('idle_in_transaction_session_timeout')
    END, true)`

	checkColumn = `,
    pg_catalog.set_config('client_connection_check_interval', CASE
        WHEN pg_catalog.current_setting('client_connection_check_interval') = '0' THEN '` + checkInterval + `'
        WHEN pg_catalog.current_setting('client_connection_check_interval')::interval
            > interval '` + checkInterval + `' THEN '` + checkInterval + `'
        ELSE pg_catalog.current_setting('client_connection_check_interval')
    END, true)`
)

func openSQL(locks, checkInterval bool) string {
	sql := "SELECT " + lockColumn
	if !locks {
		sql = "SELECT " + noLockColumn
	}
	sql += openColumns
	if checkInterval {
		sql += checkColumn
	}
	return sql
}

// probe is an open transaction that has looked a key up.
type probe struct {
	table   *table
	h       int32
	conn    *pgxpool.Conn
	tx      pgx.Tx
	started int64 // transaction_timestamp(), microseconds since 1970
	pid     int64 // of the server process that answered
	locked  bool
	found   found
}

// found is what the look-up says about a key.
type found struct {
	attemptID string // of the record or lease; "" if there is none
	cached    *idem.Cached // nil under a lease
	alive     bool         // neither is the record expired nor the lease at its end
	leaseLeft time.Duration
}

// completed returns the record to replay, nil if there is none.
func (f found) completed() *idem.Cached {
	if !f.alive {
		return nil
	}
	return f.cached
}

// fresh tells whether the key is the prober's. With no lock it is somebody
// else's, and a live lease is somebody's whoever holds the lock.
func (p *probe) fresh() bool {
	return p.locked && !p.found.alive
}

// probe opens a transaction and looks key up in it: DESIGN's first step, one
// round trip on a warm connection. Nothing has run when it fails, so it is
// repeated when the failure says nothing about the key: a plan that went stale,
// a connection that had died in the pool.
func (s *Store) probe(ctx context.Context, key string, iso pgx.TxIsoLevel, maxHandlerTime time.Duration) (*probe, error) {
	var last error
	for try := 0; try < maxProbeTries; try++ {
		conn, err := s.acquire(ctx)
		if err != nil {
			return nil, err
		}
		p, err := s.probeOn(ctx, conn, key, iso, maxHandlerTime)
		if err == nil {
			return p, nil
		}
		lost := conn.Conn().IsClosed()
		s.giveBack(conn)
		last = err
		switch {
		case errors.Is(err, idem.ErrRecordUnreadable), errors.Is(err, idem.ErrStoreUnavailable):
			return nil, err
		case sqlState(err) == "42P01":
			s.table.Store(nil) // dropped and made again, or never made
			return nil, errTableMissing(tableName)
		case ctx.Err() != nil || !lost && !isStalePlan(err):
			return nil, fmt.Errorf("txstore: reserving: %w: %w", idem.ErrStoreUnavailable, err)
		}
	}
	return nil, fmt.Errorf("txstore: reserving: %w: %w", idem.ErrStoreUnavailable, last)
}

// probeContext detaches a look-up from its caller's cancellation: cut off
// between the lock and its answer it would cost the connection, and nobody would
// wake those who wait for the lock.
func (s *Store) probeContext(ctx context.Context) (context.Context, context.CancelFunc) {
	limit := s.config.ReserveTimeout
	if deadline, ok := ctx.Deadline(); ok {
		limit = min(limit, max(time.Until(deadline), minProbeTime))
	}
	return context.WithTimeout(context.WithoutCancel(ctx), limit)
}

func (s *Store) probeOn(ctx context.Context, conn *pgxpool.Conn, key string, iso pgx.TxIsoLevel, maxHandlerTime time.Duration) (*probe, error) {
	ctx, cancel := s.probeContext(ctx)
	defer cancel()
	t, err := s.loadTable(ctx, conn.Conn())
	if err != nil {
		return nil, err
	}
	p := &probe{table: t, h: t.hash(key), conn: conn}
	idle := int64(0)
	if maxHandlerTime > 0 {
		idle = (maxHandlerTime + serverGrace).Milliseconds()
	}
	var b pgx.Batch
	// Always READ WRITE: a standby, or a session whose default is read only,
	// must refuse here and not at Commit, after the handler has run.
	b.BeginTx(pgx.TxOptions{IsoLevel: iso, AccessMode: pgx.ReadWrite})
	b.Queue(t.open, int32(keyClass), p.h, idle)
	// A statement of its own, after the lock: in one with it, its snapshot could
	// be older than the lock, and miss a record committed in between.
	b.Queue(t.lookup, key)
	br := conn.Conn().SendBatch(ctx, &b)
	err = p.read(br)
	if closeErr := br.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		// The transaction may be open and may hold the lock.
		s.letGo(conn, p.h)
		return nil, err
	}
	if p.pid != int64(conn.Conn().PgConn().PID()) {
		s.listener.foundPooler()
	}
	return p, nil
}

func (p *probe) read(br pgx.BatchResults) error {
	if _, err := br.Exec(); err != nil {
		return err
	}
	p.tx = br.(interface{ Tx() pgx.Tx }).Tx()
	rows, err := br.Query()
	if err != nil {
		return err
	}
	if err := scanOpen(rows, p); err != nil {
		return err
	}
	rows, err = br.Query()
	if err != nil {
		return err
	}
	p.found, err = scanFound(rows)
	return err
}

// scanOpen reads the first statement's row; the settings behind the first three
// columns are of no interest.
func scanOpen(rows pgx.Rows, p *probe) error {
	defer rows.Close()
	for rows.Next() {
		dest := make([]any, len(rows.FieldDescriptions()))
		dest[0], dest[1], dest[2] = &p.locked, &p.started, &p.pid
		if err := rows.Scan(dest...); err != nil {
			return err
		}
	}
	rows.Close()
	return rows.Err()
}

// scanFound reads the look-up's row, if there is one.
func scanFound(rows pgx.Rows) (f found, err error) {
	defer rows.Close()
	for rows.Next() {
		var (
			hash                string
			format              int16
			status              pgtype.Int4
			header, body        []byte
			storedAt, leaseLeft int64
		)
		err := rows.Scan(&f.attemptID, &hash, &format, &status, &header, &body,
			&storedAt, &f.alive, &leaseLeft)
		if err != nil {
			return f, err
		}
		f.leaseLeft = time.Duration(leaseLeft) * time.Millisecond
		if !status.Valid {
			continue
		}
		h, err := record.DecodeHeader(int(format), header)
		if err != nil {
			return f, fmt.Errorf("txstore: %w: %w", idem.ErrRecordUnreadable, err)
		}
		f.cached = &idem.Cached{
			Status: int(status.Int32), Header: h, Body: body,
			RequestHash: hash, StoredAt: time.UnixMicro(storedAt),
		}
	}
	rows.Close()
	return f, rows.Err()
}
