package pgbouncer

import (
	"context"
	"fmt"
	"os/exec"

	"github.com/pgidem/pgidem/internal/localproc"
)

// Version is PgBouncer's version number.
type Version struct{ Major, Minor int }

// String implements [fmt.Stringer].
func (v Version) String() string { return fmt.Sprintf("%d.%d", v.Major, v.Minor) }

// Prepares tells whether this version can follow prepared statements, and can be
// told by DEALLOCATE ALL to forget them all, which a Store sends when a plan has
// gone stale. 1.21 follows them only: it passes that on unnoticed, and goes on
// using what the server has no more.
func (v Version) Prepares() bool { return v.Major > 1 || v.Minor >= 22 }

func versionOf(ctx context.Context, program string) (v Version, err error) {
	ctx, cancel := context.WithTimeout(ctx, localproc.StartTimeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, program, "--version").CombinedOutput()
	if err != nil {
		return v, fmt.Errorf("%s --version: %w\n%s", program, err, out)
	}
	return parseVersion(string(out))
}

func parseVersion(text string) (v Version, err error) {
	if _, err := fmt.Sscanf(text, "PgBouncer %d.%d", &v.Major, &v.Minor); err != nil {
		return v, fmt.Errorf("no version in %q: %w", text, err)
	}
	return v, nil
}
