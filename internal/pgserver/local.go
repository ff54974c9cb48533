package pgserver

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
)

// local is a server process of ours: its files, and the running instance.
type local struct {
	bin      string
	folder   *folder
	settings []string
	port     int
	running  *process // nil while halted
}

// startTries bounds how often another port is taken when somebody else was
// faster to bind the first.
const startTries = 5

func startLocal(ctx context.Context, options Options) (*local, error) {
	bin, err := findBinaries()
	if err != nil {
		return nil, err
	}
	folder, err := newFolder(options.Durable)
	if err != nil {
		return nil, err
	}
	l := &local{bin: bin, folder: folder, settings: options.AllSettings()}
	if err := l.initialize(ctx); err != nil {
		return nil, errors.Join(err, l.close())
	}
	if err := l.startOnFreePort(ctx); err != nil {
		return nil, errors.Join(err, l.close())
	}
	return l, nil
}

func (l *local) initialize(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(l.bin, "initdb"), "-D", l.folder.data(), "-U", "postgres",
		"-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions")
	cmd.Dir = l.folder.path
	cmd.SysProcAttr = l.folder.owner.attributes()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", cmd, err, out)
	}
	return nil
}

func (l *local) startOnFreePort(ctx context.Context) (err error) {
	for range startTries {
		if l.port, err = freePort(); err != nil {
			return err
		}
		if err = l.resume(ctx); !errors.Is(err, errPortTaken) {
			return err
		}
	}
	return err
}

// freePort returns a port that was free a moment ago.
func freePort() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().(*net.TCPAddr).Port, nil
}

// errPortTaken: between freePort and the start somebody else took the port.
var errPortTaken = errors.New("port is taken")

func (l *local) resume(ctx context.Context) error {
	if l.running != nil {
		return errors.New("the server is running")
	}
	p, err := startProcess(l.command(), l.folder)
	if err != nil {
		return err
	}
	if err := awaitReady(ctx, l.url(), p.exited); err != nil {
		p.kill()
		return l.startError(err)
	}
	l.running = p
	return nil
}

func (l *local) command() *exec.Cmd {
	args := []string{"-D", l.folder.data(), "-k", "", "-c", "listen_addresses=127.0.0.1", "-c", "port=" + strconv.Itoa(l.port)}
	for _, setting := range l.settings {
		args = append(args, "-c", setting)
	}
	return exec.Command(filepath.Join(l.bin, "postgres"), args...)
}

func (l *local) startError(err error) error {
	log := l.folder.log()
	if strings.Contains(log, "could not bind") {
		return fmt.Errorf("%w: %d", errPortTaken, l.port)
	}
	return fmt.Errorf("server did not come up: %w\n%s", err, log)
}

func (l *local) url() string {
	u := url.URL{
		Scheme:   "postgres",
		User:     url.User("postgres"),
		Host:     net.JoinHostPort("127.0.0.1", strconv.Itoa(l.port)),
		Path:     "/postgres",
		RawQuery: "sslmode=disable",
	}
	return u.String()
}

func (l *local) pid() int {
	if l.running == nil {
		return 0
	}
	return l.running.pid()
}

func (l *local) signal(signal os.Signal) error {
	if l.running == nil {
		return os.ErrProcessDone
	}
	return l.running.signal(signal)
}

// halt uses the server's immediate shutdown.
func (l *local) halt() error {
	if l.running == nil {
		return nil
	}
	err := l.running.end(syscall.SIGQUIT)
	l.running = nil
	return err
}

func (l *local) close() error {
	return errors.Join(l.halt(), l.folder.remove())
}
