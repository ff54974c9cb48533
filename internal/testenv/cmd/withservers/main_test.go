package main

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgidem/pgidem/internal/pgserver"
	"github.com/pgidem/pgidem/internal/redisserver"
)

func TestCommandGetsAServerWhichEndsWithIt(t *testing.T) {
	// As if started by hand: what these tests themselves are given is no server
	// that could be seen to end.
	t.Setenv(pgserver.URLVariable, "")
	seen := filepath.Join(t.TempDir(), "url")
	t.Setenv("SEEN", seen)
	if got := run([]string{"sh", "-c", `printf %s "$` + pgserver.URLVariable + `" > "$SEEN"; exit 7`}, pgserver.Options{}); got != 7 {
		t.Fatalf("exit status %d, want the command's 7", got)
	}
	url, err := os.ReadFile(seen)
	if err != nil || len(url) == 0 {
		t.Fatalf("the command was given the address %q, %v", url, err)
	}
	if _, err := pgx.Connect(t.Context(), string(url)); err == nil {
		t.Error("the server still runs")
	}
}

func TestNoServerIsAStatusOfItsOwn(t *testing.T) {
	t.Setenv(pgserver.URLVariable, "postgres://127.0.0.1:1/none?connect_timeout=2")
	if got := run([]string{"true"}, pgserver.Options{}); got != statusNoServer {
		t.Errorf("exit status %d, want %d", got, statusNoServer)
	}
}

func TestExitStatus(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		command []string
		want    int
	}{
		"Success":   {[]string{"true"}, 0},
		"Failure":   {[]string{"sh", "-c", "exit 3"}, 3},
		"Killed":    {[]string{"sh", "-c", "kill -KILL $$"}, 128 + 9},
		"NoCommand": {[]string{"/no/such/command"}, statusNoCommand},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := runCommand(c.command, nil); got != c.want {
				t.Errorf("exit status %d, want %d", got, c.want)
			}
		})
	}
}

func TestSignalIsHandedOn(t *testing.T) {
	t.Parallel()
	signals := make(chan os.Signal, 1)
	signals <- syscall.SIGTERM
	if got := runCommand([]string{"sleep", "60"}, signals); got != 128+int(syscall.SIGTERM) {
		t.Errorf("exit status %d, want that of a command ended by SIGTERM", got)
	}
}

func TestCommandIsToldOfEveryServer(t *testing.T) {
	for _, name := range []string{pgserver.URLVariable, redisserver.AddrVariable, redisserver.ClusterVariable} {
		if got := run([]string{"sh", "-c", `test -n "$` + name + `"`}, pgserver.Options{}); got != 0 {
			t.Errorf("the command was not given %s", name)
		}
	}
}
