package machine_test

import (
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/pgidem/pgidem/bench/internal/machine"
	"github.com/pgidem/pgidem/internal/pgserver/pgtest"
	"github.com/pgidem/pgidem/internal/redisserver/redistest"
)

func TestServersSayWhatTheyAre(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	client := redis.NewClient(&redis.Options{Addr: redistest.Addr(t)})
	t.Cleanup(func() { _ = client.Close() })
	facts := machine.Look()
	if line := facts.String(); strings.Contains(line, "PostgreSQL") || strings.Contains(line, "Redis") {
		t.Errorf("before anybody was asked: %s", line)
	}
	if err := facts.AskPostgres(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	if err := facts.AskRedis(t.Context(), client); err != nil {
		t.Fatal(err)
	}
	var version, commit string
	row := pool.QueryRow(t.Context(), `SELECT current_setting('server_version'), current_setting('synchronous_commit')`)
	if err := row.Scan(&version, &commit); err != nil {
		t.Fatal(err)
	}
	if facts.Postgres != version || facts.Settings["synchronous_commit"] != commit {
		t.Errorf("PostgreSQL %q with %v, want %q", facts.Postgres, facts.Settings, version)
	}
	if major, _, found := strings.Cut(facts.Redis, "."); !found || strings.Trim(major, "0123456789") != "" {
		t.Errorf("Redis %q", facts.Redis)
	}
	for _, part := range []string{"PostgreSQL " + facts.Postgres, "Redis " + facts.Redis, facts.CPU, facts.Go} {
		if !strings.Contains(facts.String(), part) || part == "" {
			t.Errorf("no %q in %s", part, facts)
		}
	}
}
