package contend

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgidem/pgidem/bench/internal/payment"
	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/internal/record"
)

// selectRecord is what a replay cannot do without.
const selectRecord = "SELECT request_hash, status, header, body FROM pgidem_records WHERE key = $1"

// bare protects nothing: a fresh request is the business transaction, a retry is
// the record read by its primary key.
type bare struct{ pool *pgxpool.Pool }

// Bare returns the reference on pool.
func Bare(pool *pgxpool.Pool) Contender { return &bare{pool} }

func (b *bare) Name() string        { return "bare" }
func (b *bare) Plays(Workload) bool { return true }

func (b *bare) Serve(ctx context.Context, r Request) (bool, error) {
	if r.Retry {
		return false, selectAnswer(ctx, b.pool, r.Key)
	}
	err := pgx.BeginFunc(ctx, b.pool, func(tx pgx.Tx) error { return payment.Pay(ctx, tx) })
	return true, err
}

// selectAnswer reads the record of key.
func selectAnswer(ctx context.Context, pool *pgxpool.Pool, key string) error {
	var (
		hash         string
		status       int
		header, body []byte
	)
	if err := pool.QueryRow(ctx, selectRecord, key).Scan(&hash, &status, &header, &body); err != nil {
		return err
	}
	return check(key, status, body)
}

// insertRecord writes the least that a correct store has to: a record, with no
// guard.
const insertRecord = `INSERT INTO pgidem_records
	(attempt_id, stored_at, expires_at, status, format, key, request_hash, header, body)
VALUES
	($1::text::uuid, clock_timestamp(), clock_timestamp() + interval '24 hours', $2, $3, $4, $5, $6, $7)`

// floor is bare, with a record in the same transaction. It travels together with
// the COMMIT, so it takes three round trips, like the bare transaction.
type floor struct {
	bare
	// notify is the second textbook pattern: every transaction notifies, in case
	// somebody waits.
	notify bool
}

func (f *floor) Name() string {
	if f.notify {
		return "notify-always"
	}
	return "floor"
}

// Plays leaves out what it would only do as bare does; and a storm for the
// textbook's pattern, of which the notification is but a part.
func (f *floor) Plays(w Workload) bool { return w != Replay && w != Hot && !(f.notify && w == Storm) }

func (f *floor) Serve(ctx context.Context, r Request) (bool, error) {
	if r.Retry {
		return f.bare.Serve(ctx, r)
	}
	conn, err := f.pool.Acquire(ctx)
	if err != nil {
		return false, err
	}
	defer conn.Release()
	tx, err := conn.Begin(ctx)
	if err != nil {
		return false, err
	}
	if err := payment.Pay(ctx, tx); err != nil {
		return false, err
	}
	return true, conn.SendBatch(ctx, f.commit(r.Key)).Close()
}

func (f *floor) commit(key string) *pgx.Batch {
	b := &pgx.Batch{}
	b.Queue(insertRecord, idem.NewAttemptID(), payment.Status, int16(record.Format), key, payment.Hash,
		record.EncodeHeader(payment.Header()), []byte(payment.Body))
	if f.notify {
		b.Queue("SELECT pg_notify('bench_done', $1)", key)
	}
	b.Queue("COMMIT")
	return b
}
