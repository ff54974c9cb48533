package txstore

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgidem/pgidem/db"
	"github.com/pgidem/pgidem/idem"
)

// tableName is the records table in the migrations and in the queries.
const tableName = "pgidem_records"

// The classes of advisory locks and the channel. Like the number h of a key
// they are a wire format: processes of different versions share a table.
const (
	keyClass    = 0x70676964 // held by an attempt, exclusively, until it ends
	waitClass   = 0x70676977 // held by waiters, shared, on their listener
	wakeChannel = "pgidem_wake"
)

// table is the records table as found in the database, and the statements on
// it. They name it with its schema: a handler's SET LOCAL search_path must not
// send the record elsewhere.
type table struct {
	schema string
	oid    uint32
	locks  bool // advisory locks are in use
	// synchronous: commits wait for a standby.
	synchronous bool
	// pooled: it was found through a pooler, which answers in the server's name. The
	// listener finds out for itself; this spares it the connection.
	pooled bool

	quick, thorough opening
	attempts        []*statement // what an attempt executes
	lookup          *statement
	insert          *statement
	deleteStale     *statement
	leaseReserve    *statement
	leaseCommit     *statement
	leaseRelease    *statement
	leaseRenew      *statement
	leases          []*statement // what a lease executes
	glances         []*statement // what a look before any attempt executes

	// Executed by pgx: in a transaction or at a time where speed is not ours.
	callerOpen string
	lookupText string
	insertHeld string
	staleHeld  string
	sweep      string
	entomb     string
	settled    string
}

// name is the table's full name, as it stands in the statements.
func (t *table) name() string { return pgx.Identifier{t.schema, tableName}.Sanitize() }

// loadTable returns the records table, which it looks up on first use.
// It asks on the connection whose backend process pgx knows as pid.
func (s *Store) loadTable(ctx context.Context, ask rowQuerier, pid uint32) (*table, error) {
	if t := s.table.Load(); t != nil {
		return t, nil
	}
	t, err := findTable(ctx, ask, pid, s.config)
	if err != nil {
		return nil, err
	}
	s.table.Store(t)
	return t, nil
}

// rowQuerier is a connection or a transaction.
type rowQuerier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// The third column tells whether the server notices in the middle of a statement
// that its client has gone: not before version 14, and not on every system; where
// it cannot, the setting is refused.
const findTableSQL = `
SELECT
    n.nspname,
    c.oid::bigint,
    pg_catalog.current_setting('client_connection_check_interval', true) IS NOT NULL
        AND pg_catalog.version() LIKE '%linux%',
    COALESCE(pg_catalog.current_setting('synchronous_standby_names', true), '') <> '',
    pg_catalog.pg_backend_pid()::bigint
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.oid = pg_catalog.to_regclass($1::text)`

func findTable(ctx context.Context, ask rowQuerier, pid uint32, config Config) (*table, error) {
	name := pgx.Identifier{tableName}
	if config.Schema != "" {
		name = pgx.Identifier{config.Schema, tableName}
	}
	t := &table{}
	var (
		oid, backend  int64
		checkInterval bool
	)
	err := ask.QueryRow(ctx, findTableSQL, name.Sanitize()).Scan(&t.schema, &oid, &checkInterval, &t.synchronous, &backend)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, errTableMissing(name.Sanitize())
	}
	if err != nil {
		return nil, fmt.Errorf("txstore: looking for the records table: %w", err)
	}
	t.oid = uint32(oid) //nolint:gosec // an oid has 32 bits
	t.pooled = backend != int64(pid)
	t.locks = !config.DisableLocks
	t.callerOpen = callerOpenSQL(t.locks)
	t.qualify(t.name())
	t.quick = opening{quickBegin(config.IsoLevel), quickSQL(config.IsoLevel, t.locks, checkInterval)}
	t.thorough = opening{beginAs(config.IsoLevel), thoroughSQL(t.locks, checkInterval)}
	t.attempts = []*statement{
		t.quick.open, t.quick.begin, t.thorough.open, t.thorough.begin,
		t.lookup, t.insert, commit, sameTransaction, rollback, beginFresh, relock,
	}
	t.glances = []*statement{t.lookup}
	t.leases = []*statement{t.leaseReserve, t.leaseCommit, t.leaseRelease, t.leaseRenew, beginFresh, t.lookup, commit, wake}
	return t, nil
}

func errTableMissing(name string) error {
	return fmt.Errorf("txstore: %w: table %s does not exist: run the migrations (migrations.Up) or set Config.Schema", idem.ErrStoreUnavailable, name)
}

// qualify writes the statements with the table's full name.
func (t *table) qualify(name string) {
	replace := func(sql string) string { return strings.ReplaceAll(sql, tableName, name) }
	t.lookup = newStatement(replace(db.RecordLookup))
	insert := replace(db.RecordInsert)
	if t.locks {
		insert += unwatchedColumn
	}
	t.insert = newStatement(insert)
	t.deleteStale = newStatement(replace(db.RecordDeleteStale))
	t.leaseReserve = newStatement(replace(db.LeaseReserve))
	t.leaseCommit = newStatement(replace(db.LeaseCommit))
	t.leaseRelease = newStatement(replace(db.LeaseRelease))
	t.leaseRenew = newStatement(replace(db.LeaseRenew))
	t.lookupText = replace(db.RecordLookupText)
	t.insertHeld = replace(db.RecordInsertHeld)
	t.staleHeld = replace(db.RecordDeleteStale)
	t.sweep = replace(db.RecordSweep)
	t.entomb = replace(db.RecordEntomb)
	t.settled = replace(settledSQL)
}

// hash returns h, the number under which a key is locked and waited for. The
// table's oid is part of it: two services with tables in one database, one
// calling the other with the same key, must not wait for each other.
func (t *table) hash(key string) int32 {
	b := make([]byte, 0, 64)
	b = strconv.AppendUint(b, uint64(t.oid), 10)
	b = append(b, 0)
	b = append(b, key...)
	sum := sha256.Sum256(b)
	return int32(binary.BigEndian.Uint32(sum[:4])) //nolint:gosec // the same 32 bits
}

// ownConflict tells whether err is a unique violation of the records table's
// own key: another attempt's record stands there. A user's constraint, whatever
// its name, is not ours.
func (t *table) ownConflict(err error) bool {
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) && pgErr.Code == "23505" &&
		pgErr.SchemaName == t.schema && pgErr.TableName == tableName &&
		pgErr.ConstraintName == tableName+"_pkey"
}

// guarded tells whether err is the record's guard: the transaction that it was
// to be inserted in is not the one that Reserve has seen.
func (t *table) guarded(err error) bool {
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) && pgErr.Code == "23502" &&
		pgErr.SchemaName == t.schema && pgErr.TableName == tableName && pgErr.ColumnName == "attempt_id"
}
