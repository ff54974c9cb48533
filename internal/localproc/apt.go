package localproc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// announce is where the installation says what it does to the machine.
var announce io.Writer = os.Stderr

// Install installs packages on Debian as root, and says why it cannot elsewhere.
// What the machine has already stays as it is. Several programs may want the
// same at once; who comes second finds it done when missing says so.
func Install(ctx context.Context, missing func() bool, packages ...string) error {
	if _, err := os.Stat("/etc/debian_version"); err != nil {
		return errors.New("this is no Debian")
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("needs root: sudo apt-get install %s", strings.Join(packages, " "))
	}
	unlock, err := lockInstallation(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if !missing() {
		return nil
	}
	if err := apt(ctx, "update"); err != nil {
		return err
	}
	return apt(ctx, append([]string{"install", "-y", "--no-upgrade", "--no-install-recommends"}, packages...)...)
}

// lockInstallation waits for its turn: apt-get waits for some of its locks, and
// fails on others.
func lockInstallation(ctx context.Context) (unlock func(), err error) {
	file, err := os.OpenFile(filepath.Join(os.TempDir(), "pgidem-install.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for !tryLock(file) {
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), file.Close())
		case <-tick.C:
		}
	}
	return func() { _ = file.Close() }, nil
}

func apt(ctx context.Context, args ...string) error {
	// Somebody else may be installing something else.
	args = append([]string{"-q", "-o", "DPkg::Lock::Timeout=300"}, args...)
	cmd := exec.CommandContext(ctx, "apt-get", args...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	fmt.Fprintf(announce, "it is missing here, running %s\n", cmd)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", cmd, err, out)
	}
	return nil
}
