package site_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"github.com/pgidem/pgidem/redisstore"
	"github.com/pgidem/pgidem/torture/history"
	"github.com/pgidem/pgidem/torture/ledger"
	"github.com/pgidem/pgidem/torture/site"
)

// bare is a site without servers.
func bare(t *testing.T, mode string) *site.Site {
	t.Helper()
	s, err := site.Open(t.Context(), site.Config{Mode: mode})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func mustLeave(t *testing.T, s *site.Site, want history.Leftovers) {
	t.Helper()
	got, err := s.Leftovers(t.Context(), 100*time.Millisecond)
	if err != nil || got != want {
		t.Errorf("left %+v, %v; want %+v", got, err, want)
	}
}

func TestLeftoversInTheDatabaseAreCounted(t *testing.T) {
	t.Parallel()
	s := bare(t, history.Transactional)
	mustLeave(t, s, history.Leftovers{})
	config, err := pgx.ParseConfig(s.DatabaseURL())
	if err != nil {
		t.Fatal(err)
	}
	config.User = ledger.Role
	conn, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	for _, sql := range []string{
		"SELECT pg_advisory_lock(1, 2)",
		`INSERT INTO pgidem_records (attempt_id, leased_until, format, key, request_hash)
		VALUES (gen_random_uuid(), now(), 1, 'k', '')`,
	} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	mustLeave(t, s, history.Leftovers{Connections: 1, AdvisoryLocks: 1, Reservations: 1})
}

func TestExpiredRecordsThatNobodySweptAreCounted(t *testing.T) {
	t.Parallel()
	s := bare(t, history.Transactional)
	conn, err := s.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	_, err = conn.Exec(t.Context(), `
		INSERT INTO pgidem_records (attempt_id, stored_at, expires_at, status, format, key, request_hash)
		SELECT gen_random_uuid(), now(), now() + hours * interval '1 hour', 201, 1, hours::text, ''
		FROM generate_series(-2, 3) hours`)
	if err != nil {
		t.Fatal(err)
	}
	// Those of two hours ago, of one and of this moment.
	if left, err := s.Expired(t.Context(), 100*time.Millisecond); left != 3 || err != nil {
		t.Errorf("%d left, %v", left, err)
	}
	if _, err := conn.Exec(t.Context(), "DELETE FROM pgidem_records WHERE expires_at <= clock_timestamp()"); err != nil {
		t.Fatal(err)
	}
	if left, err := s.Expired(t.Context(), time.Minute); left != 0 || err != nil {
		t.Errorf("%d left, %v", left, err)
	}
}

func TestLeftoversInRedisAreCounted(t *testing.T) {
	t.Parallel()
	s := bare(t, history.Redis)
	mustLeave(t, s, history.Leftovers{})
	client := redis.NewClient(&redis.Options{Addr: s.Redis.Addr(), PoolSize: 1})
	t.Cleanup(func() { _ = client.Close() })
	store, err := redisstore.New(client, redisstore.Config{CloseTimeout: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	if _, fresh, err := store.Reserve(t.Context(), "k", "hash", time.Hour); err != nil || !fresh {
		t.Fatalf("fresh %v, %v", fresh, err)
	}
	mustLeave(t, s, history.Leftovers{Connections: 1, Reservations: 1})
}
