package meter_test

import (
	"runtime"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgidem/pgidem/bench/internal/meter"
	"github.com/pgidem/pgidem/internal/pgserver"
	"github.com/pgidem/pgidem/internal/pgserver/pgtest"
	"github.com/pgidem/pgidem/internal/wiretap"
)

func execute(t *testing.T, conn *pgx.Conn, sql string, args ...any) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func TestWireCountsWhatIsSent(t *testing.T) {
	t.Parallel()
	proxy, url := wiretap.StartURL(t, pgtest.EmptyURL(t))
	conn := pgtest.Connect(t, url)
	wire := meter.Tap(proxy)
	for name, c := range map[string]struct {
		run  func()
		want meter.Traffic
	}{
		"Parsed":   {func() { execute(t, conn, `SELECT $1::int + 1`, 1) }, meter.Traffic{Trips: 2, Statements: 1, Parses: 1}},
		"Prepared": {func() { execute(t, conn, `SELECT $1::int`, 1) }, meter.Traffic{Trips: 1, Statements: 1}},
		"Simple":   {func() { execute(t, conn, `SELECT 1; SELECT 2;`) }, meter.Traffic{Trips: 1, Statements: 2}},
	} {
		execute(t, conn, `SELECT $1::int`, 1) // prepared from now on
		before := wire.Read()
		c.run()
		got := wire.Read().Sub(before)
		if got.ToServer <= 0 || got.FromServer <= 0 {
			t.Errorf("%s: %d and %d bytes", name, got.ToServer, got.FromServer)
		}
		got.ToServer, got.FromServer = 0, 0
		if got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

func TestTablesCountWhatOthersDid(t *testing.T) {
	t.Parallel()
	url := pgtest.EmptyURL(t)
	admin := pgtest.Connect(t, url)
	execute(t, admin, `CREATE TABLE things (id int PRIMARY KEY, n int) WITH (autovacuum_enabled = false)`)
	execute(t, admin, `CREATE TABLE named (name text PRIMARY KEY)`)
	before, err := meter.ReadTables(t.Context(), admin)
	if err != nil {
		t.Fatal(err)
	}
	client := pgtest.Connect(t, url)
	execute(t, client, `INSERT INTO things SELECT n, 0 FROM generate_series(1, 10) AS n`)
	execute(t, client, `UPDATE things SET n = 1 WHERE id <= 3`)
	execute(t, client, `UPDATE things SET id = 100 WHERE id = 4`)
	execute(t, client, `DELETE FROM things WHERE id > 8`)
	_ = client.Close(t.Context())
	if err := meter.AwaitAlone(t.Context(), admin); err != nil {
		t.Fatal(err)
	}
	after, err := meter.ReadTables(t.Context(), admin)
	if err != nil {
		t.Fatal(err)
	}
	got := after.Sub(before)
	got.Syncs = 0 // it counts the whole server's
	if want := (meter.Tables{Updated: 4, HeapOnly: 3, Deleted: 3, Dead: 7}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestTimeOfBackendsIsApartFromTheServersOther(t *testing.T) {
	t.Parallel()
	server := pgtest.OwnServer(t, pgserver.Options{})
	conn := pgtest.Connect(t, server.URL())
	before, err := meter.ReadCPU(server.PID())
	if err != nil {
		t.Fatal(err)
	}
	execute(t, conn, `SELECT sum(sqrt(n)) FROM generate_series(1, 300000) AS n`)
	after, err := meter.ReadCPU(server.PID())
	if err != nil {
		t.Fatal(err)
	}
	if spent := after.Sub(before); spent.Backends <= spent.Background || spent.Backends <= 0 {
		t.Errorf("a backend alone was busy: %+v", spent)
	}
	if _, err := meter.ReadCPU(1 << 30); err == nil {
		t.Error("a process that is not there has spent time")
	}
}

func TestHeapCountsWhatIsAllocatedAndWhatIsLive(t *testing.T) {
	const size = 8 << 20
	before, none := meter.ReadHeap(), meter.LiveHeap()
	kept := make([]byte, size)
	if after := meter.ReadHeap(); after.Bytes-before.Bytes < size || after.Objects == before.Objects {
		t.Errorf("%d bytes were allocated, counted: %+v after %+v", size, after, before)
	}
	held := meter.LiveHeap()
	runtime.KeepAlive(kept)
	if freed := meter.LiveHeap(); held < none+size/2 || held < freed+size/2 {
		t.Errorf("live: %d, with %d bytes more %d, without them %d", none, size, held, freed)
	}
}
