package site

import (
	"context"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"github.com/pgidem/pgidem/torture/history"
	"github.com/pgidem/pgidem/torture/ledger"
)

const role = ledger.Role

// Leftovers counts what the servers, which have ended, have left in the database
// and in Redis. What is closed may take so long to be gone on the other side.
func (s *Site) Leftovers(ctx context.Context, settle time.Duration) (history.Leftovers, error) {
	conn, err := s.Connect(ctx)
	if err != nil {
		return history.Leftovers{}, err
	}
	defer func() { _ = conn.Close(ctx) }()
	return untilNone(settle, func() (history.Leftovers, error) { return s.countLeftovers(ctx, conn) })
}

// untilNone counts until there is nothing left, or for so long.
func untilNone[T comparable](settle time.Duration, count func() (T, error)) (T, error) {
	var none T
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for until := time.Now().Add(settle); ; {
		left, err := count()
		if err != nil || left == none || time.Now().After(until) {
			return left, err
		}
		<-tick.C
	}
}

func (s *Site) countLeftovers(ctx context.Context, conn *pgx.Conn) (left history.Leftovers, err error) {
	err = conn.QueryRow(ctx, `
		SELECT (SELECT count(*) FROM pg_stat_activity WHERE usename = $1),
		    (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'),
		    (SELECT count(*) FROM pgidem_records WHERE status IS NULL)`,
		role).Scan(&left.Connections, &left.AdvisoryLocks, &left.Reservations)
	if err != nil || s.Redis == nil {
		return left, err
	}
	return left, s.countInRedis(ctx, &left)
}

// Expired counts the records that have expired when it is called, and that the
// servers, which are running, have not swept so much later: of those that are
// remembered, what is to be replayed. Redis sweeps its own.
func (s *Site) Expired(ctx context.Context, settle time.Duration) (left int, err error) {
	conn, err := s.Connect(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close(ctx) }()
	var now time.Time
	if err := conn.QueryRow(ctx, "SELECT clock_timestamp()").Scan(&now); err != nil {
		return 0, err
	}
	return untilNone(settle, func() (left int, err error) {
		err = conn.QueryRow(ctx, `
			SELECT count(*) FROM pgidem_records
			WHERE expires_at <= $1 AND (forgotten_at IS NULL OR body IS NOT NULL)`, now).Scan(&left)
		return left, err
	})
}

// stateAt is where a record in Redis has its state, and leased what stands there
// while it is a reservation.
const (
	stateAt = 1
	leased  = "L"
)

func (s *Site) countInRedis(ctx context.Context, left *history.Leftovers) error {
	client := redis.NewClient(&redis.Options{Addr: s.Redis.Addr(), PoolSize: 1})
	defer func() { _ = client.Close() }()
	list, err := client.ClientList(ctx).Result()
	if err != nil {
		return err
	}
	left.Connections += strings.Count(strings.TrimSpace(list), "\n") // but for our own
	keys := client.Scan(ctx, 0, "*", 1000).Iterator()
	for keys.Next(ctx) {
		state, err := client.GetRange(ctx, keys.Val(), stateAt, stateAt).Result()
		if err != nil {
			return err
		}
		if state == leased {
			left.Reservations++
		}
	}
	return keys.Err()
}
