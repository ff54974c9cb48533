package db_test

import (
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgidem/pgidem/db"
	"github.com/pgidem/pgidem/internal/pgserver/pgtest"
)

const (
	attempt      = "6b1f4f0e-9d7c-4c53-8f0f-7a4c2e8d1a11"
	otherAttempt = "0c7d2a52-31c2-4b65-9a0a-3c1f5e6b7d22"
)

// A handler's text of binary, which every way of sending it must leave alone.
var body = []byte("\x00\\x41'; -- \xff")

func record(key string) db.RecordInsertParams {
	return db.RecordInsertParams{
		AttemptID: uuid(attempt), Ttl: interval(time.Hour), Status: 201, Format: 1,
		Key: key, RequestHash: "hash", Header: []byte("header"), Body: body,
	}
}

func uuid(s string) (id pgtype.UUID) {
	_ = id.Scan(s)
	return id
}

func interval(d time.Duration) pgtype.Interval {
	return pgtype.Interval{Microseconds: d.Microseconds(), Valid: true}
}

var modes = []pgx.QueryExecMode{
	pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeDescribeExec,
	pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol,
}

func TestQueriesInEveryExecMode(t *testing.T) {
	t.Parallel()
	for _, mode := range modes {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			pool := pgtest.Pool(t, func(c *pgxpool.Config) { c.ConnConfig.DefaultQueryExecMode = mode })
			q := db.New(pool)
			storedAt, err := q.RecordInsert(t.Context(), record("k"))
			if err != nil {
				t.Fatal(err)
			}
			row, err := q.RecordLookup(t.Context(), "k")
			if err != nil {
				t.Fatal(err)
			}
			if row.AttemptID != uuid(attempt) || !row.StoredAt.Time.Equal(storedAt.Time) || row.Status.Int32 != 201 ||
				string(row.Body) != string(body) || !row.ExpiresAt.Time.After(row.LookedAt.Time) || row.LeasedUntil.Valid {
				t.Errorf("got %+v", row)
			}
			text, err := q.RecordLookupText(t.Context(), "k")
			if err != nil || text.StoredAt != row.StoredAt.Time.UnixMicro() || text.ExpiresAt != row.ExpiresAt.Time.UnixMicro() ||
				text.LookedAt < row.LookedAt.Time.UnixMicro() || text.LeasedUntil != 0 || text.ForgottenAt != 0 {
				t.Errorf("in numbers: %+v, %v, want %+v", text, err, row)
			}
			stale := db.RecordDeleteStaleParams{Key: "k", SeenAttemptID: attempt}
			wantRows(t, "a live record", 0)(q.RecordDeleteStale(t.Context(), stale))
			wantRows(t, "nothing to sweep", 0)(q.RecordSweep(t.Context(), everywhere))
			wantRows(t, "nothing to entomb", 0)(q.RecordEntomb(t.Context(), db.RecordEntombParams{First: everywhere.First, Past: everywhere.Past}))
			expire(t, pool)
			if row, err := q.RecordLookup(t.Context(), "k"); err != nil || row.ExpiresAt.Time.After(row.LookedAt.Time) {
				t.Errorf("at the instant of its expiry: %+v, %v", row, err)
			}
			wantRows(t, "a stale record", 1)(q.RecordDeleteStale(t.Context(), stale))
			if _, err := q.RecordLookup(t.Context(), "k"); !errors.Is(err, pgx.ErrNoRows) {
				t.Errorf("got %v, want no row", err)
			}
		})
	}
}

func TestInsertBelongsToItsTransaction(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	for name, c := range map[string]struct {
		wrong time.Duration
		want  string
	}{"Same": {0, ""}, "Other": {time.Microsecond, "23502"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tx, err := pool.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = tx.Rollback(t.Context()) }()
			r := record(name)
			if err := tx.QueryRow(t.Context(), `SELECT transaction_timestamp()`).Scan(&r.Started); err != nil {
				t.Fatal(err)
			}
			r.Started.Time = r.Started.Time.Add(c.wrong)
			_, err = db.New(tx).RecordInsert(t.Context(), r)
			wantCode(t, err, c.want)
		})
	}
}

func TestRecordLivesForItsTTL(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	if _, err := db.New(pool).RecordInsert(t.Context(), record("k")); err != nil {
		t.Fatal(err)
	}
	var extra time.Duration
	const longer = `SELECT expires_at - stored_at - interval '1 hour' FROM pgidem_records`
	if err := pool.QueryRow(t.Context(), longer).Scan(&extra); err != nil || extra < 0 || extra > time.Second {
		t.Errorf("it lives %v longer than an hour, %v", extra, err)
	}
}

func TestSecondInsertRaisesUniqueViolation(t *testing.T) {
	t.Parallel()
	q := db.New(pgtest.Pool(t))
	if _, err := q.RecordInsert(t.Context(), record("k")); err != nil {
		t.Fatal(err)
	}
	_, err := q.RecordInsert(t.Context(), record("k"))
	wantCode(t, err, "23505")
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.ConstraintName != "pgidem_records_pkey" {
		t.Errorf("constraint %s", pg.ConstraintName)
	}
}

func TestDeleteStaleIsFencedByTheAttempt(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	q := db.New(pool)
	if _, err := q.RecordInsert(t.Context(), record("k")); err != nil {
		t.Fatal(err)
	}
	expire(t, pool)
	stale := db.RecordDeleteStaleParams{Key: "k", SeenAttemptID: otherAttempt}
	wantRows(t, "another attempt's record", 0)(q.RecordDeleteStale(t.Context(), stale))
}

func TestLongestTTL(t *testing.T) {
	t.Parallel()
	q := db.New(pgtest.Pool(t))
	r := record("k")
	r.Ttl = interval(1<<63 - 1)
	if _, err := q.RecordInsert(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	row, err := q.RecordLookup(t.Context(), "k")
	if err != nil || !row.ExpiresAt.Time.After(row.LookedAt.Time) {
		t.Errorf("got %+v, %v", row, err)
	}
}

func TestARecordIsCompletedOrInFlight(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	for _, values := range []string{
		"NULL, NULL, NULL, NULL, NULL, NULL",   // neither
		"now(), now(), now(), 200, '', ''",     // both
		"NULL, NULL, now(), 200, NULL, NULL",   // a status in flight
		"now(), now(), NULL, NULL, '', ''",     // a response without status
		"now(), NULL, NULL, 200, '', ''",       // never expires
		"NULL, now(), now(), NULL, NULL, NULL", // a lease that expires like a record
	} {
		_, err := pool.Exec(t.Context(), `INSERT INTO pgidem_records
			(attempt_id, format, key, request_hash, stored_at, expires_at, leased_until, status, header, body)
			VALUES (gen_random_uuid(), 1, 'k', 'h', `+values+`)`)
		wantCode(t, err, "23514")
	}
}

// everywhere is the whole table.
var everywhere = db.RecordSweepParams{First: "(0,0)", Past: "(4294967295,0)"}

// expire lets all records end this instant.
func expire(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	execute(t, pool, `UPDATE pgidem_records SET expires_at = clock_timestamp()`)
}

func execute(t *testing.T, pool *pgxpool.Pool, sql string) {
	t.Helper()
	if _, err := pool.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
}

func wantRows(t *testing.T, what string, want int64) func(int64, error) {
	t.Helper()
	return func(got int64, err error) {
		t.Helper()
		if err != nil || got != want {
			t.Errorf("%s: %d rows, %v; want %d", what, got, err, want)
		}
	}
}

// wantCode checks for an SQLSTATE; "" is success.
func wantCode(t *testing.T, err error, want string) {
	t.Helper()
	var pg *pgconn.PgError
	got := ""
	if errors.As(err, &pg) {
		got = pg.Code
	}
	if got != want || (want == "" && err != nil) {
		t.Errorf("got %v, want SQLSTATE %q", err, want)
	}
}
