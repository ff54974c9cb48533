package txstore

import (
	"context"
	"math"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// serverGrace is how much longer than the handler may run the server lets
	// the transaction idle. It only matters when nobody is left to end it.
	serverGrace = 500 * time.Millisecond
	// checkInterval is how often the server looks, while it executes a
	// statement, whether the client is still there.
	checkInterval = "1s"
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

// fresh tells whether the key is the prober's. With no lock it is somebody
// else's, and a live lease is somebody's whoever holds the lock.
func (p *probe) fresh() bool {
	return p.locked && !p.found.alive
}

// probe opens a transaction and looks key up in it: DESIGN's first step, one
// round trip on a warm connection.
func (s *Store) probe(ctx context.Context, key string, iso pgx.TxIsoLevel, maxHandlerTime time.Duration) (p *probe, err error) {
	err = s.onConn(ctx, func(conn *pgxpool.Conn, t *table) error {
		p = &probe{table: t, h: t.hash(key), conn: conn}
		ctx, cancel := s.detached(ctx, s.config.ReserveTimeout)
		defer cancel()
		if err := p.send(ctx, key, iso, maxHandlerTime); err != nil {
			// The transaction may be open.
			s.letGoProbe(p)
			return err
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if p.pid != int64(p.conn.Conn().PgConn().PID()) {
		s.listener.foundPooler()
	}
	return p, nil
}

func (p *probe) send(ctx context.Context, key string, iso pgx.TxIsoLevel, maxHandlerTime time.Duration) error {
	idle := int64(0)
	if maxHandlerTime > 0 {
		// The setting holds 31 bits.
		idle = min(maxHandlerTime.Milliseconds()+serverGrace.Milliseconds(), math.MaxInt32)
	}
	var b pgx.Batch
	// Always READ WRITE: a standby, or a session whose default is read only,
	// must refuse here and not at Commit, after the handler has run.
	b.BeginTx(pgx.TxOptions{IsoLevel: iso, AccessMode: pgx.ReadWrite})
	b.Queue(p.table.open, int32(keyClass), p.h, idle)
	// A statement of its own, after the lock: in one with it, its snapshot could
	// be older than the lock, and miss a record committed in between.
	b.Queue(p.table.lookup, key)
	br := p.conn.Conn().SendBatch(ctx, &b)
	err := p.read(br)
	if closeErr := br.Close(); err == nil {
		err = closeErr
	}
	return err
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
