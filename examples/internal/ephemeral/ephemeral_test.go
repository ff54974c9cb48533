package ephemeral

import (
	"context"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"github.com/pgidem/pgidem/internal/redisserver/redistest"
)

// A server of somebody else's must not be left with a database of ours, whoever
// is still connected to it.
func TestDatabaseGoesWithItsClients(t *testing.T) {
	t.Parallel()
	db, err := Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	admin := db.adminURL
	if !strings.Contains(db.URL(), db.Name()) || db.URL() == admin {
		t.Errorf("%s does not lead to %s", db.URL(), db.Name())
	}
	client, err := pgx.Connect(t.Context(), db.URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close(context.Background()) })
	if _, err := client.Exec(t.Context(), `CREATE TABLE things ()`); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := client.Ping(t.Context()); err == nil {
		t.Error("a client is still connected")
	}
	next, err := pgx.Connect(t.Context(), db.URL())
	if err == nil {
		t.Error("the database is still there")
		_ = next.Close(t.Context())
	}
}

func TestDatabaseURLs(t *testing.T) {
	t.Parallel()
	for connection, want := range map[string]string{
		"postgres://u:p@h:1/postgres?sslmode=disable": "postgres://u:p@h:1/mine?sslmode=disable",
		"postgresql://h":             "postgresql://h/mine",
		"host=h dbname=other port=1": "host=h dbname=other port=1 dbname=mine",
	} {
		got := databaseURL(connection, "mine")
		if got != want {
			t.Errorf("%s: %s, want %s", connection, got, want)
		}
		if config, err := pgx.ParseConfig(got); err != nil || config.Database != "mine" || config.Host != "h" {
			t.Errorf("%s leads elsewhere: %v", got, err)
		}
	}
}

// More keys than one step of the removal asks for; those of others stay.
func TestKeysGoAndThoseOfOthersStay(t *testing.T) {
	t.Parallel()
	url := "redis://" + redistest.Addr(t)
	ours, err := OpenRedis(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	other, err := OpenRedis(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = other.Close() })
	options, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(options)
	t.Cleanup(func() { _ = client.Close() })
	left := func(r *Redis) int {
		keys, err := client.Keys(t.Context(), r.Prefix()+"*").Result()
		if err != nil {
			t.Fatal(err)
		}
		return len(keys)
	}
	const many = 2*scanBatch + 1
	for _, r := range []*Redis{ours, other} {
		for i := range many {
			if err := client.Set(t.Context(), r.Prefix()+string(rune('a'+i)), "1", 0).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if ours, others := left(ours), left(other); ours != many || others != many {
		t.Fatalf("%d keys of ours and %d of others, want %d each", ours, others, many)
	}
	if err := ours.Close(); err != nil {
		t.Fatal(err)
	}
	if ours, others := left(ours), left(other); ours != 0 || others != many {
		t.Errorf("%d keys of ours and %d of others are left, want 0 and %d", ours, others, many)
	}
}
