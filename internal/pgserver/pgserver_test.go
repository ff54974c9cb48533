package pgserver_test

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgidem/pgidem/internal/pgserver"
)

func TestStartedServerIsStoppedAndRemoved(t *testing.T) {
	t.Parallel()
	server, err := pgserver.StartOrInstall(t.Context(), pgserver.Options{Settings: []string{"max_connections=17"}})
	if err != nil {
		t.Fatal(err)
	}
	if got := show(t, server, "max_connections"); got != "17" {
		t.Errorf("max_connections is %s, want the 17 that was asked for", got)
	}
	if got := show(t, server, "fsync"); got != "off" {
		t.Errorf("fsync is %s, want off", got)
	}
	folder := strings.TrimSuffix(show(t, server, "data_directory"), "/data")
	for range 2 {
		if err := server.Stop(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := pgx.Connect(t.Context(), server.URL()); err == nil {
		t.Error("the stopped server still answers")
	}
	if _, err := os.Stat(folder); !os.IsNotExist(err) {
		t.Errorf("its folder is still there: %v", err)
	}
}

func TestDurableServerKeepsTheDefaults(t *testing.T) {
	t.Parallel()
	server, err := pgserver.StartOrInstall(t.Context(), pgserver.Options{Durable: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Stop() })
	for _, name := range []string{"fsync", "synchronous_commit", "full_page_writes"} {
		if got := show(t, server, name); got != "on" {
			t.Errorf("%s is %s, want on", name, got)
		}
	}
}

func TestFolderOfAKilledProcessIsRemovedByTheNext(t *testing.T) {
	t.Parallel()
	abandoned, err := os.MkdirTemp(os.TempDir(), "pgidem-postgres-")
	if err != nil {
		t.Fatal(err)
	}
	// A lock file that nobody holds.
	if err := os.WriteFile(abandoned+"/in-use", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	server, err := pgserver.StartOrInstall(t.Context(), pgserver.Options{Durable: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Stop() })
	if _, err := os.Stat(abandoned); !os.IsNotExist(err) {
		t.Errorf("the abandoned folder is still there: %v", err)
	}
	if _, err := os.Stat(strings.TrimSuffix(show(t, server, "data_directory"), "/data")); err != nil {
		t.Errorf("a folder in use was removed: %v", err)
	}
}

func TestSignalReachesTheServer(t *testing.T) {
	t.Parallel()
	server, err := pgserver.StartOrInstall(t.Context(), pgserver.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Stop() })
	if err := server.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	if err := server.Halt(); err != nil {
		t.Fatal(err)
	}
	if err := server.Signal(syscall.SIGHUP); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("signal to a halted server: %v, want os.ErrProcessDone", err)
	}
}

func TestForeignServerIsNotOursToHalt(t *testing.T) {
	t.Parallel()
	stopped := 0
	server := pgserver.Foreign("postgres://elsewhere/db", "a friend", func() error { stopped++; return nil })
	if err := server.Restart(t.Context()); err == nil {
		t.Error("a foreign server was restarted")
	}
	_ = server.Stop()
	_ = server.Stop()
	if stopped != 1 {
		t.Errorf("stopped %d times, want once", stopped)
	}
}

// Not parallel: these change the environment.

func TestFindTakesNothingInPlaceOfNamedBinaries(t *testing.T) {
	t.Setenv(pgserver.URLVariable, "")
	t.Setenv(pgserver.BinVariable, t.TempDir())
	if _, err := pgserver.Find(t.Context(), pgserver.Options{}); err == nil || !strings.Contains(err.Error(), pgserver.BinVariable) {
		t.Fatalf("got %v, want an error that names %s", err, pgserver.BinVariable)
	}
}

func TestFindTakesTheNamedServerOrNone(t *testing.T) {
	server, err := pgserver.StartOrInstall(t.Context(), pgserver.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Stop() })
	t.Setenv(pgserver.URLVariable, server.URL())
	found, err := pgserver.Find(t.Context(), pgserver.Options{})
	if err != nil || found.URL() != server.URL() || found.PID() != 0 {
		t.Fatalf("got %v, %v; want the named server as a foreign one", found, err)
	}
	if err := server.Halt(); err != nil {
		t.Fatal(err)
	}
	if _, err := pgserver.Find(t.Context(), pgserver.Options{}); err == nil {
		t.Fatal("another server was taken for the one that was named")
	}
}

func show(t *testing.T, server *pgserver.Server, setting string) (value string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), server.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	if err := conn.QueryRow(t.Context(), `SELECT current_setting($1)`, setting).Scan(&value); err != nil {
		t.Fatal(err)
	}
	return value
}
