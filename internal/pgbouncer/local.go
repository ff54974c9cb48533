package pgbouncer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/pgidem/pgidem/internal/localproc"
)

// crash ends a pooler at once. It has nothing to write; and what its other
// signals mean differs from version to version, to wait for all clients to go
// among it.
const crash = syscall.SIGKILL

// local is a process of ours: its files, and the running instance.
type local struct {
	program string
	folder  *localproc.Folder
	port    int
	running *localproc.Process // nil before the start and after the stop
}

func startLocal(ctx context.Context, program string, s setup) (*local, error) {
	folder, err := localproc.NewFolder("pgidem-pgbouncer-", false)
	if err != nil {
		return nil, err
	}
	l := &local{program: program, folder: folder}
	if err := localproc.OnFreePort(func(port int) error { return l.startOn(ctx, port, s) }); err != nil {
		return nil, errors.Join(err, l.close())
	}
	return l, nil
}

func (l *local) startOn(ctx context.Context, port int, s setup) error {
	l.port = port
	if err := l.write("users", s.users); err != nil {
		return err
	}
	if err := l.write("pgbouncer.ini", s.file(port, l.path("users"))); err != nil {
		return err
	}
	p, err := localproc.StartProcess(exec.Command(l.program, l.path("pgbouncer.ini")), l.folder, crash)
	if err != nil {
		return err
	}
	if err := p.AwaitReady(ctx, startTimeout, l.ping); err != nil {
		p.Kill()
		return l.startError(err)
	}
	l.running = p
	return nil
}

func (l *local) path(name string) string { return filepath.Join(l.folder.Path(), name) }

// write writes a file that the pooler's user can read; the folder is closed to
// everybody else.
func (l *local) write(name, text string) error {
	if err := os.WriteFile(l.path(name), []byte(text), 0o600); err != nil {
		return err
	}
	return os.Chmod(l.path(name), 0o644) //nolint:gosec // the folder is closed to everybody but the two
}

func (l *local) address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(l.port)) }

// ping tells whether the port is open. Nothing has to come up behind it.
func (l *local) ping(ctx context.Context) error {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", l.address())
	if err != nil {
		return err
	}
	return conn.Close()
}

func (l *local) startError(err error) error {
	log := l.folder.Log()
	if strings.Contains(log, "Address already in use") {
		return fmt.Errorf("%w: %d", localproc.ErrPortTaken, l.port)
	}
	return fmt.Errorf("it did not come up: %w\n%s", err, log)
}

func (l *local) close() error {
	if l.running != nil {
		l.running.Kill()
		l.running = nil
	}
	return l.folder.Remove()
}

// setup is what stands in the files, but for what only the start decides.
type setup struct {
	users string
	lines []string
}

// settings of a pooler before upstream. Every database and role of it can be
// reached; those that the users file does not know are looked up.
func settings(upstream *url.URL, version Version, options Options) setup {
	port := upstream.Port()
	if port == "" {
		port = "5432"
	}
	password, _ := upstream.User.Password()
	role := upstream.User.Username()
	size := options.PoolSize
	if size == 0 {
		size = defaultPoolSize
	}
	lines := []string{
		"[databases]",
		fmt.Sprintf("* = host=%s port=%s", upstream.Hostname(), port),
		"[pgbouncer]",
		"pool_mode = transaction",
		"auth_type = trust",
		"auth_user = " + role,
		"admin_users = " + role,
		"listen_addr = 127.0.0.1",
		"unix_socket_dir =",
		"max_client_conn = 4000",
		fmt.Sprintf("default_pool_size = %d", size),
		// A server that restarts is to be found again soon.
		"server_login_retry = 0.1",
		"log_connections = 0",
		"log_disconnections = 0",
	}
	if version.Prepares() {
		statements := 0
		if options.Prepared {
			statements = 500
		}
		lines = append(lines, fmt.Sprintf("max_prepared_statements = %d", statements))
	}
	return setup{users: fmt.Sprintf("%q %q\n", role, password), lines: lines}
}

func (s setup) file(port int, users string) string {
	lines := append(s.lines[:len(s.lines):len(s.lines)], "auth_file = "+users, "listen_port = "+strconv.Itoa(port))
	return strings.Join(lines, "\n") + "\n"
}
