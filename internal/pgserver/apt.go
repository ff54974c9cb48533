package pgserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
)

// announce is where the installation says what it does to the machine.
var announce io.Writer = os.Stderr

func installAndStart(ctx context.Context, options Options) (*Server, error) {
	if err := installPackage(ctx); err != nil {
		return nil, err
	}
	return Start(ctx, options)
}

// installPackage installs Debian's postgresql. It does nothing where binaries
// are: then it is not their absence that is wrong.
func installPackage(ctx context.Context) error {
	if _, err := findBinaries(); !errors.Is(err, errNoBinaries) {
		return errors.New("not tried, binaries are installed")
	}
	if _, err := os.Stat("/etc/debian_version"); err != nil {
		return errors.New("this is no Debian")
	}
	if os.Geteuid() != 0 {
		return errors.New("needs root: sudo apt-get install postgresql")
	}
	if err := apt(ctx, "update"); err != nil {
		return err
	}
	// --no-upgrade: what the machine has already stays as it is.
	return apt(ctx, "install", "-y", "--no-upgrade", "--no-install-recommends", "postgresql")
}

func apt(ctx context.Context, args ...string) error {
	// Several test binaries may want the same; they wait for each other.
	args = append([]string{"-q", "-o", "DPkg::Lock::Timeout=300"}, args...)
	cmd := exec.CommandContext(ctx, "apt-get", args...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	fmt.Fprintf(announce, "pgserver: no PostgreSQL here, running %s\n", cmd)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", cmd, err, out)
	}
	return nil
}
