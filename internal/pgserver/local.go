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

	"github.com/pgidem/pgidem/internal/localproc"
)

// local is a server process of ours: its files, and the running instance.
type local struct {
	bin      string
	folder   *localproc.Folder
	settings []string
	port     int
	running  *localproc.Process // nil while halted
}

// immediateStop is the signal for the server's immediate shutdown.
const immediateStop = syscall.SIGQUIT

func (l *local) data() string { return filepath.Join(l.folder.Path(), "data") }

func startLocal(ctx context.Context, options Options) (*local, error) {
	bin, err := findBinaries()
	if err != nil {
		return nil, err
	}
	folder, err := localproc.NewFolder("pgidem-postgres-", options.Durable)
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
	cmd := exec.CommandContext(ctx, filepath.Join(l.bin, "initdb"), "-D", l.data(), "-U", "postgres",
		"-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions")
	cmd.Dir = l.folder.Path()
	cmd.SysProcAttr = l.folder.Attributes()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", cmd, err, out)
	}
	return nil
}

func (l *local) startOnFreePort(ctx context.Context) error {
	return localproc.OnFreePort(func(port int) error {
		l.port = port
		return l.resume(ctx)
	})
}

func (l *local) resume(ctx context.Context) error {
	if l.running != nil {
		return errors.New("the server is running")
	}
	p, err := localproc.StartProcess(l.command(), l.folder, immediateStop)
	if err != nil {
		return err
	}
	if err := p.AwaitReady(ctx, startTimeout, func(ctx context.Context) error { return ping(ctx, l.url()) }); err != nil {
		p.Kill()
		return l.startError(err)
	}
	l.running = p
	return nil
}

func (l *local) command() *exec.Cmd {
	args := []string{"-D", l.data(), "-k", "", "-c", "listen_addresses=127.0.0.1", "-c", "port=" + strconv.Itoa(l.port)}
	for _, setting := range l.settings {
		args = append(args, "-c", setting)
	}
	return exec.Command(filepath.Join(l.bin, "postgres"), args...)
}

func (l *local) startError(err error) error {
	log := l.folder.Log()
	if strings.Contains(log, "could not bind") {
		return fmt.Errorf("%w: %d", localproc.ErrPortTaken, l.port)
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
	return l.running.PID()
}

func (l *local) signal(signal os.Signal) error {
	if l.running == nil {
		return os.ErrProcessDone
	}
	return l.running.Signal(signal)
}

// halt uses the server's immediate shutdown.
func (l *local) halt() error {
	if l.running == nil {
		return nil
	}
	err := l.running.End(immediateStop)
	l.running = nil
	return err
}

func (l *local) close() error {
	return errors.Join(l.halt(), l.folder.Remove())
}
