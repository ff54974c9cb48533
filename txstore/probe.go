package txstore

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"sync/atomic"
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
// bounds how long the server keeps the transaction when nobody ends it: $2
// milliseconds idle (0: as configured), never longer than configured; and a client
// that is gone is noticed in the middle of a statement.
//
// It has two forms. The quick one knows only sessions where both settings are
// off, as PostgreSQL has them by default, and returns null in others; and its
// time is one that only a binary result tells exactly. Each term of an expression
// costs at every execution, evaluated or not: the thorough form, which compares
// with what is set and counts the time in microseconds since 1970, takes twice as
// long.
var (
	lockColumn   = fmt.Sprintf("pg_catalog.pg_try_advisory_xact_lock(%d, $1::int4)", keyClass)
	noLockColumn = "$1::int4 IS NOT NULL"
)

const (
	quickColumns = `,
    transaction_timestamp(),
    pg_catalog.pg_backend_pid(),
    `
	thoroughColumns = `,
    ` + startedNumber + `,
    pg_catalog.pg_backend_pid(),
    `
	startedNumber = `(extract(epoch FROM transaction_timestamp()) * 1000000)::bigint`

	quickIdle   = `pg_catalog.current_setting('idle_in_transaction_session_timeout') = '0'`
	quickCheck  = quickIdle + ` AND pg_catalog.current_setting('client_connection_check_interval') = '0'`
	setIdle     = `pg_catalog.set_config('idle_in_transaction_session_timeout', $2::text, true)`
	setInterval = `pg_catalog.set_config('client_connection_check_interval', '` + checkInterval + `', true)`

	thoroughIdle = `pg_catalog.set_config('idle_in_transaction_session_timeout', CASE
        WHEN $2::text = '0' THEN pg_catalog.current_setting('idle_in_transaction_session_timeout')
        WHEN pg_catalog.current_setting('idle_in_transaction_session_timeout') = '0' THEN $2::text
        WHEN pg_catalog.current_setting('idle_in_transaction_session_timeout')::interval
            > $2::bigint * interval '1 millisecond' THEN $2::text
        ELSE pg_catalog.current_setting('idle_in_transaction_session_timeout')
    END, true)`
	thoroughInterval = `pg_catalog.set_config('client_connection_check_interval', CASE
        WHEN pg_catalog.current_setting('client_connection_check_interval') = '0' THEN '` + checkInterval + `'
        WHEN pg_catalog.current_setting('client_connection_check_interval')::interval
            > interval '` + checkInterval + `' THEN '` + checkInterval + `'
        ELSE pg_catalog.current_setting('client_connection_check_interval')
    END, true)`
)

// openSQL returns both forms of the first statement.
func openSQL(locks, checkInterval bool) (quick, thorough string) {
	lock := noLockColumn
	if locks {
		lock = lockColumn
	}
	quick, thorough = "SELECT "+lock+quickColumns, "SELECT "+lock+thoroughColumns
	if !checkInterval {
		return quick + "CASE WHEN " + quickIdle + " THEN " + setIdle + " END", thorough + thoroughIdle
	}
	return quick + "CASE WHEN " + quickCheck + " THEN pg_catalog.concat(" + setIdle + ", " + setInterval + ") END",
		thorough + "pg_catalog.concat(" + thoroughIdle + ", " + thoroughInterval + ")"
}

// probe is an open transaction that has looked a key up.
type probe struct {
	table   *table
	h       int32
	conn    *pgxpool.Conn
	tx      pgx.Tx
	started moment // transaction_timestamp()
	pid     int64  // of the server process that answered
	locked  bool
	bounded bool // the server's time limits for the transaction are set
	found   found
}

// fresh tells whether the key is the prober's. With no lock it is somebody
// else's, and a live lease is somebody's whoever holds the lock.
func (p *probe) fresh() bool {
	return p.locked && !p.found.alive
}

// probe opens a transaction and looks key up in it, in one round trip on a warm
// connection.
func (s *Store) probe(ctx context.Context, key string, iso pgx.TxIsoLevel, maxHandlerTime time.Duration) (p *probe, err error) {
	err = s.onConn(ctx, func(conn *pgxpool.Conn, t *table) error {
		p = &probe{table: t, h: t.hash(key), conn: conn}
		err := roundTrip(ctx, conn.Conn(), s.config.ReserveTimeout, func(ctx context.Context) error {
			return p.send(ctx, key, iso, maxHandlerTime, &s.thorough)
		})
		if err != nil {
			s.letGoProbe(p) // the transaction may be open
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if p.pid != int64(p.conn.Conn().PgConn().PID()) {
		s.listener.foundPooler()
	}
	return p, nil
}

func (p *probe) send(ctx context.Context, key string, iso pgx.TxIsoLevel, maxHandlerTime time.Duration, thorough *atomic.Bool) error {
	idle := idleLimit(maxHandlerTime)
	open, lookup := p.table.openQuick, p.table.lookup
	if resultsAreText(p.conn.Conn()) {
		open, lookup = p.table.openThorough, p.table.lookupText
	} else if thorough.Load() {
		open = p.table.openThorough
	}
	var b pgx.Batch
	// Always READ WRITE: a standby, or a session whose default is read only,
	// must refuse here and not at Commit, after the handler has run.
	b.BeginTx(pgx.TxOptions{IsoLevel: iso, AccessMode: pgx.ReadWrite})
	b.Queue(open, p.h, idle)
	// A statement of its own, after the lock: in one with it, its snapshot could
	// be older than the lock, and miss a record committed in between.
	b.Queue(lookup, key)
	br := p.conn.Conn().SendBatch(ctx, &b)
	err := p.read(br)
	if closeErr := br.Close(); err == nil {
		err = closeErr
	}
	if err == nil && !p.bounded {
		// Sessions here have settings of their own.
		thorough.Store(true)
		_, err = p.tx.Exec(ctx, p.table.openThorough, p.h, idle)
	}
	return err
}

// idleLimit is how long the server lets the transaction idle, in milliseconds as
// the setting takes them, which holds 31 bits. 0: as configured.
func idleLimit(maxHandlerTime time.Duration) string {
	if maxHandlerTime <= 0 {
		return "0"
	}
	return strconv.FormatInt(min(maxHandlerTime.Milliseconds()+serverGrace.Milliseconds(), math.MaxInt32), 10)
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
	if err := p.scanOpen(rows); err != nil {
		return err
	}
	rows, err = br.Query()
	if err != nil {
		return err
	}
	p.found, err = scanFound(rows)
	return err
}

// scanOpen reads the first statement's row.
func (p *probe) scanOpen(rows pgx.Rows) error {
	defer rows.Close()
	for rows.Next() {
		r := rowOf(rows)
		p.locked, p.started = r.boolean(), r.moment()
		p.pid, _ = r.integer()
		settings, _ := r.next()
		p.bounded = settings != nil
		if r.err != nil {
			return r.err
		}
	}
	rows.Close()
	return rows.Err()
}
