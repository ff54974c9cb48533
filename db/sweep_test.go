package db_test

import (
	"testing"
	"time"

	"github.com/pgidem/pgidem/db"
	"github.com/pgidem/pgidem/internal/pgserver/pgtest"
)

func TestSweepKeepsToItsRangeAndSparesWhatIsAlive(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	execute(t, pool, `INSERT INTO pgidem_records (attempt_id, leased_until, format, key, request_hash)
		SELECT gen_random_uuid(), now() + n * interval '1 minute', 1, 'lease' || n, 'h'
		FROM unnest(ARRAY[5, -5, -500]) AS n`)
	execute(t, pool, `INSERT INTO pgidem_records
		SELECT gen_random_uuid(), now(), now() + n * interval '1 minute', NULL, NULL, 200, 1, 'record' || n, 'h', '', ''
		FROM generate_series(-6, 5) AS n WHERE n <> 0`)
	q := db.New(pool)
	none := db.RecordSweepParams{First: "(1,0)", Past: "(2,0)", LeaseGraceUs: time.Hour.Microseconds()}
	wantRows(t, "a range without rows", 0)(q.RecordSweep(t.Context(), none))
	all := everywhere
	all.LeaseGraceUs = time.Hour.Microseconds()
	wantRows(t, "all", 7)(q.RecordSweep(t.Context(), all))
	wantRows(t, "once more", 0)(q.RecordSweep(t.Context(), all))
	var left string
	if err := pool.QueryRow(t.Context(), `SELECT string_agg(key, ' ' ORDER BY key) FROM pgidem_records`).Scan(&left); err != nil {
		t.Fatal(err)
	}
	if want := "lease-5 lease5 record1 record2 record3 record4 record5"; left != want {
		t.Errorf("left: %s, want: %s", left, want)
	}
}

func TestSweepSkipsWhatOthersHold(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	q := db.New(pool)
	if _, err := q.RecordInsert(t.Context(), record("k")); err != nil {
		t.Fatal(err)
	}
	expire(t, pool)
	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `SELECT FROM pgidem_records FOR UPDATE`); err != nil {
		t.Fatal(err)
	}
	wantRows(t, "a row that is held", 0)(q.RecordSweep(t.Context(), everywhere))
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantRows(t, "the row let go", 1)(q.RecordSweep(t.Context(), everywhere))
}
