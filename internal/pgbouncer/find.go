package pgbouncer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"

	"github.com/pgidem/pgidem/internal/localproc"
)

// ProgramVariable names the program to start; newer.sh gets one that is newer
// than this Debian's.
const ProgramVariable = "PGIDEM_PGBOUNCER"

// findOrInstall returns the program's path.
func findOrInstall(ctx context.Context) (string, error) {
	found := func(_ context.Context, program string) (string, error) { return program, nil }
	return localproc.First(ctx, "no PgBouncer: install it, or name it in "+ProgramVariable, localproc.OwnLegs(find, found, "pgbouncer"))
}

func find() (string, error) {
	if program := os.Getenv(ProgramVariable); program != "" {
		if _, err := exec.LookPath(program); err != nil {
			return "", fmt.Errorf("%s: %w (%w)", ProgramVariable, err, localproc.ErrDecisive)
		}
		return program, nil
	}
	// Debian puts it where only root's PATH leads.
	for _, name := range []string{"pgbouncer", "/usr/sbin/pgbouncer"} {
		if program, err := exec.LookPath(name); err == nil {
			return program, nil
		}
	}
	return "", errors.New("no pgbouncer in " + ProgramVariable + ", PATH or /usr/sbin")
}
