package contend

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgidem/pgidem/bench/internal/payment"
	"github.com/pgidem/pgidem/internal/record"
)

// textbookSchema is the table of both patterns that keep one of their own.
const textbookSchema = `CREATE TABLE IF NOT EXISTS bench_textbook (
	key          text COLLATE "C" PRIMARY KEY,
	request_hash text NOT NULL,
	expires_at   timestamptz NOT NULL,
	status       integer,
	header       bytea,
	body         bytea
)`

const (
	textbookReserve = `INSERT INTO bench_textbook (key, request_hash, expires_at)
		VALUES ($1, $2, clock_timestamp() + interval '24 hours') ON CONFLICT (key) DO NOTHING`
	textbookComplete = `UPDATE bench_textbook SET status = $2, header = $3, body = $4 WHERE key = $1`
	textbookSelect   = `SELECT status, header, body FROM bench_textbook WHERE key = $1`
	textbookFill     = `INSERT INTO bench_textbook (key, request_hash, expires_at, status, header, body)
		SELECT key, request_hash, expires_at, status, header, body FROM pgidem_records`
)

// textbookPoll is how often a duplicate looks whether the first has finished.
const textbookPoll = 5 * time.Millisecond

// executor is a pool, or a transaction.
type executor interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// textbookAnswer returns what the table says of key: answered tells whether
// there is a response yet.
func textbookAnswer(ctx context.Context, db executor, key string) (answered bool, err error) {
	var (
		status       *int
		header, body []byte
	)
	err = db.QueryRow(ctx, textbookSelect, key).Scan(&status, &header, &body)
	if errors.Is(err, pgx.ErrNoRows) || err == nil && status == nil {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, check(key, *status, body)
}

func completion(key string) []any {
	return []any{key, payment.Status, record.EncodeHeader(payment.Header()), []byte(payment.Body)}
}

// reserveFirst is the first textbook pattern: the reservation is committed, then
// the handler's transaction, then the response. A crash in between leaves the
// key taken, and duplicates poll.
type reserveFirst struct{ pool *pgxpool.Pool }

func (t *reserveFirst) Name() string        { return "reserve-first" }
func (t *reserveFirst) Plays(Workload) bool { return true }

func (t *reserveFirst) Serve(ctx context.Context, r Request) (bool, error) {
	tag, err := t.pool.Exec(ctx, textbookReserve, r.Key, payment.Hash)
	if err != nil {
		return false, err
	}
	if tag.RowsAffected() == 0 {
		return false, t.await(ctx, r.Key)
	}
	if err := pgx.BeginFunc(ctx, t.pool, func(tx pgx.Tx) error { return payment.Pay(ctx, tx) }); err != nil {
		return false, err
	}
	_, err = t.pool.Exec(ctx, textbookComplete, completion(r.Key)...)
	return true, err
}

func (t *reserveFirst) await(ctx context.Context, key string) error {
	for {
		answered, err := textbookAnswer(ctx, t.pool, key)
		if answered || err != nil {
			return err
		}
		select {
		case <-time.After(textbookPoll):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// blockOnRow is the third textbook pattern: the key is inserted first thing in
// the handler's transaction, and duplicates wait in the server, each on a
// connection, until that one ends.
type blockOnRow struct{ pool *pgxpool.Pool }

func (t *blockOnRow) Name() string        { return "block-on-row" }
func (t *blockOnRow) Plays(Workload) bool { return true }

func (t *blockOnRow) Serve(ctx context.Context, r Request) (paid bool, err error) {
	err = pgx.BeginFunc(ctx, t.pool, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, textbookReserve, r.Key, payment.Hash)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return t.replay(ctx, tx, r.Key)
		}
		if err := payment.Pay(ctx, tx); err != nil {
			return err
		}
		paid = true
		_, err = tx.Exec(ctx, textbookComplete, completion(r.Key)...)
		return err
	})
	return paid, err
}

func (t *blockOnRow) replay(ctx context.Context, tx pgx.Tx, key string) error {
	answered, err := textbookAnswer(ctx, tx, key)
	if err == nil && !answered {
		err = fmt.Errorf("key %s is there and has no answer", key)
	}
	return err
}
