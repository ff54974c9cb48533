package meter

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// Tables is what the server's statistics say of the current database's tables,
// and of the log.
type Tables struct {
	// Updated counts updates, HeapOnly those among them that touched no index,
	// Deleted deletions.
	Updated, HeapOnly, Deleted int64
	// Dead is how many dead rows await vacuum. It can fall.
	Dead int64
	// Syncs is how often the log was flushed.
	Syncs int64
}

// Sub returns what was counted since an earlier reading.
func (t Tables) Sub(earlier Tables) Tables {
	return Tables{
		Updated: t.Updated - earlier.Updated, HeapOnly: t.HeapOnly - earlier.HeapOnly, Deleted: t.Deleted - earlier.Deleted,
		Dead: t.Dead - earlier.Dead, Syncs: t.Syncs - earlier.Syncs,
	}
}

const tablesSQL = `SELECT
	coalesce(sum(n_tup_upd), 0)::bigint,
	coalesce(sum(n_tup_hot_upd), 0)::bigint,
	coalesce(sum(n_tup_del), 0)::bigint,
	coalesce(sum(n_dead_tup), 0)::bigint
FROM pg_stat_user_tables`

// From version 18 on the log's input and output are counted with all other.
const (
	syncsSQL      = `SELECT wal_sync FROM pg_stat_wal`
	syncsSQLSince = `SELECT coalesce(sum(fsyncs), 0)::bigint FROM pg_stat_io WHERE object = 'wal'`
	ioVersion     = 180000
)

// ReadTables reads the statistics. A backend reports what it has done when it
// ends, and before only now and then: close the connections, and read after
// AwaitAlone.
func ReadTables(ctx context.Context, conn *pgx.Conn) (t Tables, err error) {
	var version int
	if err := conn.QueryRow(ctx, `SELECT current_setting('server_version_num')::int`).Scan(&version); err != nil {
		return t, err
	}
	syncs := syncsSQL
	if version >= ioVersion {
		syncs = syncsSQLSince
	}
	if err := conn.QueryRow(ctx, syncs).Scan(&t.Syncs); err != nil {
		return t, err
	}
	err = conn.QueryRow(ctx, tablesSQL).Scan(&t.Updated, &t.HeapOnly, &t.Deleted, &t.Dead)
	return t, err
}

const othersSQL = `SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()`

// AwaitAlone waits until conn is the only client of its database.
func AwaitAlone(ctx context.Context, conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		var others int
		if err := conn.QueryRow(ctx, othersSQL).Scan(&others); err != nil || others == 0 {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// FlushLog makes the server write and flush its log up to now: what no commit has
// asked for stays in memory, where pg_waldump does not see it.
func FlushLog(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, `SELECT pg_logical_emit_message(true, 'bench', '')`)
	return err
}

// Position returns where the log ends now, in memory, as pg_waldump reads it.
func Position(ctx context.Context, conn *pgx.Conn) (position string, err error) {
	err = conn.QueryRow(ctx, `SELECT pg_current_wal_insert_lsn()::text`).Scan(&position)
	return position, err
}
