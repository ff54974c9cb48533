package testenv

import (
	"strings"
	"testing"
	"time"

	"github.com/pgidem/pgidem/internal/pgserver"
)

// With an engine or without one: an image that nobody has is never waited for.
func TestDockerSaysAtOnceWhatIsMissing(t *testing.T) {
	t.Setenv(ImageVariable, "pgidem.invalid/nobody/has:this")
	t.Setenv(PullVariable, "")
	begin := time.Now()
	_, err := dockerPostgres(t.Context(), pgserver.Options{})
	if err == nil || !strings.Contains(err.Error(), "engine") {
		t.Fatalf("got %v, want an error that says what the engine lacks", err)
	}
	if took := time.Since(begin); took > 2*engineTimeout {
		t.Errorf("it took %v", took)
	}
}

func TestContainerGetsTheSettings(t *testing.T) {
	t.Parallel()
	line := strings.Join(commandLine(pgserver.Options{Durable: true, Settings: []string{"wal_level=logical"}}), " ")
	if !strings.HasPrefix(line, "postgres -c ") || !strings.HasSuffix(line, "-c wal_level=logical") || strings.Contains(line, "fsync") {
		t.Errorf("command line is %q", line)
	}
}

func TestPostgresFindsAServer(t *testing.T) {
	t.Parallel()
	server, err := Postgres(t.Context(), pgserver.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
}
