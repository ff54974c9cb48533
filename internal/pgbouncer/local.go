package pgbouncer

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"github.com/pgidem/pgidem/internal/localproc"
)

func startLocal(ctx context.Context, program string, s setup) (*localproc.Server, error) {
	folder, err := localproc.NewFolder("pgidem-pgbouncer-", false)
	if err != nil {
		return nil, err
	}
	file, users := filepath.Join(folder.Path(), "pgbouncer.ini"), filepath.Join(folder.Path(), "users")
	l := &localproc.Server{
		Folder: folder,
		Prepare: func(port int) error {
			return errors.Join(write(users, s.users), write(file, s.file(port, users)))
		},
		Command:   func(int) *exec.Cmd { return exec.Command(program, file) },
		Ask:       ping,
		PortTaken: "Address already in use",
		// It has nothing to write; and what its other signals mean differs from
		// version to version, to wait for all clients to go among it.
		Last: syscall.SIGKILL,
	}
	if err := l.Start(ctx); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// write writes a file that the pooler's user can read; the folder is closed to
// everybody else.
func write(name, text string) error {
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		return err
	}
	return os.Chmod(name, 0o644) //nolint:gosec // the folder is closed to everybody but the two
}

// ping tells whether the port is open. Nothing has to come up behind it.
func ping(ctx context.Context, port int) error {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", localproc.Loopback(port))
	if err != nil {
		return err
	}
	return conn.Close()
}
