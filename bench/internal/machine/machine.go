// Package machine says what a measurement was made on, without naming it.
package machine

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"
)

// Facts are what a reader needs to compare numbers.
type Facts struct {
	OS    string `json:"os"`
	CPU   string `json:"cpu"`
	Cores int    `json:"cores"`
	Go    string `json:"go"`
	// Postgres and Redis are versions; "" if the server took no part.
	Postgres string `json:"postgres,omitempty"`
	Redis    string `json:"redis,omitempty"`
	// Settings are those of PostgreSQL that durability and speed depend on.
	Settings map[string]string `json:"settings,omitempty"`
	// Libraries are the versions of the clients.
	Libraries map[string]string `json:"libraries"`
}

// Look returns the facts of this machine and this program.
func Look() Facts {
	return Facts{
		OS: runtime.GOOS + "/" + runtime.GOARCH, CPU: cpu(), Cores: runtime.NumCPU(), Go: runtime.Version(),
		Libraries: libraries("github.com/jackc/pgx/v5", "github.com/redis/go-redis/v9"),
	}
}

// String is the facts on one line.
func (f Facts) String() string {
	parts := []string{fmt.Sprintf("%d cores (%s)", f.Cores, f.CPU), f.OS, f.Go}
	if f.Postgres != "" {
		parts = append(parts, "PostgreSQL "+f.Postgres)
	}
	if f.Redis != "" {
		parts = append(parts, "Redis "+f.Redis)
	}
	return strings.Join(parts, ", ")
}

const postgresSettings = `SELECT name, current_setting(name) FROM pg_settings WHERE name IN (
	'server_version', 'fsync', 'synchronous_commit', 'full_page_writes', 'wal_sync_method', 'wal_level',
	'shared_buffers', 'max_wal_size', 'max_connections', 'autovacuum', 'commit_delay', 'shared_preload_libraries')`

// AskPostgres adds what the server says of itself.
func (f *Facts) AskPostgres(ctx context.Context, pool *pgxpool.Pool) error {
	rows, err := pool.Query(ctx, postgresSettings)
	if err != nil {
		return err
	}
	defer rows.Close()
	f.Settings = make(map[string]string)
	for rows.Next() {
		var name, value string
		if err := rows.Scan(&name, &value); err != nil {
			return err
		}
		f.Settings[name] = value
	}
	f.Postgres = f.Settings["server_version"]
	delete(f.Settings, "server_version")
	return rows.Err()
}

// AskRedis adds the server's version.
func (f *Facts) AskRedis(ctx context.Context, client *redis.Client) error {
	info, err := client.Info(ctx, "server").Result()
	if err != nil {
		return err
	}
	for line := range strings.Lines(info) {
		if v, ok := strings.CutPrefix(line, "redis_version:"); ok {
			f.Redis = strings.TrimSpace(v)
		}
	}
	return nil
}

// cpu returns the processor's model, where the system tells.
func cpu() string {
	file, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return "unknown"
	}
	defer func() { _ = file.Close() }()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), ":")
		if strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

func libraries(paths ...string) map[string]string {
	versions := make(map[string]string)
	info, ok := debug.ReadBuildInfo()
	for _, path := range paths {
		for i := 0; ok && i < len(info.Deps); i++ {
			if info.Deps[i].Path == path {
				versions[path] = info.Deps[i].Version
			}
		}
	}
	return versions
}
