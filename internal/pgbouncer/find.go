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

// errNoProgram: it is not installed.
var errNoProgram = errors.New("no pgbouncer in " + ProgramVariable + ", PATH or /usr/sbin")

// findOrInstall returns the program's path.
func findOrInstall(ctx context.Context) (string, error) {
	return localproc.First(ctx, "no PgBouncer: install it, or name it in "+ProgramVariable, []localproc.Leg[string]{
		{Name: "local program", Start: func(context.Context) (string, error) { return find() }},
		{Name: "Debian package", Start: func(ctx context.Context) (string, error) {
			missing := func() bool { _, err := find(); return err != nil }
			if err := localproc.Install(ctx, missing, "pgbouncer"); err != nil {
				return "", err
			}
			return find()
		}},
	})
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
	return "", errNoProgram
}
