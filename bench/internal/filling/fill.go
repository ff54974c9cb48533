package filling

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgidem/pgidem/bench/internal/payment"
	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/internal/record"
)

// Table is found by the pool's search_path.
const Table = "pgidem_records"

var columns = []string{"attempt_id", "stored_at", "expires_at", "status", "format", "key", "request_hash", "header", "body"}

// copied is how many records one COPY brings.
const copied = 250_000

// Fill records the answers of all keys, as the store would, with the index in
// place: built afterwards it would be smaller than a table in use ever has it.
// Records live for ttl from when they were made; say is told of the progress.
func Fill(ctx context.Context, pool *pgxpool.Pool, keys Keys, ttl time.Duration, say func(done int)) error {
	for from := 0; from < keys.Count; from += copied {
		source := &rows{keys: keys, next: from, end: min(from+copied, keys.Count), ttl: ttl, header: record.EncodeHeader(payment.Header())}
		if _, err := pool.CopyFrom(ctx, pgx.Identifier{Table}, columns, source); err != nil {
			return fmt.Errorf("filling the table: %w", err)
		}
		say(source.end)
	}
	_, err := pool.Exec(ctx, "VACUUM ANALYZE "+Table)
	return err
}

// rows makes records while they are copied.
type rows struct {
	keys      Keys
	next, end int
	ttl       time.Duration
	header    []byte
}

func (r *rows) Next() bool {
	r.next++
	return r.next <= r.end
}

func (r *rows) Values() ([]any, error) {
	i := r.next - 1
	var attempt pgtype.UUID
	if err := attempt.Scan(idem.NewAttemptID()); err != nil {
		return nil, err
	}
	stored := r.keys.timeAt(i)
	return []any{
		attempt, stored, stored.Add(r.ttl), int32(payment.Status), int16(record.Format),
		r.keys.At(i), payment.Hash, r.header, []byte(payment.Body),
	}, nil
}

func (r *rows) Err() error { return nil }

// Sizes are what a table of records takes on disk, in bytes.
type Sizes struct {
	Heap, Index, Other int64
}

// Measure returns what the table takes.
func Measure(ctx context.Context, pool *pgxpool.Pool) (s Sizes, err error) {
	err = pool.QueryRow(ctx, `SELECT pg_relation_size('`+Table+`'), pg_indexes_size('`+Table+`'),
		pg_total_relation_size('`+Table+`') - pg_relation_size('`+Table+`') - pg_indexes_size('`+Table+`')`).
		Scan(&s.Heap, &s.Index, &s.Other)
	return s, err
}
