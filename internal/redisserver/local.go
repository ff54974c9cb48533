package redisserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/pgidem/pgidem/internal/localproc"
)

const (
	// crash ends a server without giving it a chance to write anything.
	crash = syscall.SIGKILL
	// busOffset is how far a Cluster node's second port lies above its first.
	busOffset = 10000
	// maxPort is the last port that leaves room for a second one.
	maxPort = 65535 - busOffset
)

// local is a server process of ours: its files, and the running instance.
type local struct {
	bin      string
	folder   *localproc.Folder
	settings []string
	line     func(bin string, port int) *exec.Cmd // nil: an ordinary server
	port     int
	running  *localproc.Process // nil while halted
}

func startLocal(ctx context.Context, options Options) (*local, error) {
	bin, err := findBinaries()
	if err != nil {
		return nil, err
	}
	folder, err := localproc.NewFolder("pgidem-redis-", options.Durable)
	if err != nil {
		return nil, err
	}
	l := &local{bin: bin, folder: folder, settings: options.directives()}
	if err := localproc.OnFreePort(func(port int) error { return l.startOn(ctx, port) }); err != nil {
		return nil, errors.Join(err, l.close())
	}
	return l, nil
}

// directives returns all settings, the later ones winning over the earlier.
func (o Options) directives() []string {
	all := []string{"bind 127.0.0.1", "protected-mode no", "daemonize no", "save", "appendonly no"}
	if o.Durable {
		all = append(all, "appendonly yes", "appendfsync always")
	}
	return append(all, o.Settings...)
}

func (l *local) startOn(ctx context.Context, port int) error {
	if port > maxPort {
		port -= busOffset
	}
	l.port = port
	return l.resume(ctx)
}

func (l *local) resume(ctx context.Context) error {
	if l.running != nil {
		return errors.New("the server is running")
	}
	p, err := localproc.StartProcess(l.command(), l.folder, crash)
	if err != nil {
		return err
	}
	if err := p.AwaitReady(ctx, startTimeout, func(ctx context.Context) error { return ping(ctx, address(l.port)) }); err != nil {
		p.Kill()
		return l.startError(err)
	}
	l.running = p
	return nil
}

func (l *local) command() *exec.Cmd {
	if l.line != nil {
		return l.line(l.bin, l.port)
	}
	args := []string{"--port", strconv.Itoa(l.port), "--dir", l.folder.Path()}
	for _, directive := range l.settings {
		name, value, _ := strings.Cut(directive, " ")
		args = append(append(args, "--"+name), settingValues(value)...)
	}
	return exec.Command(filepath.Join(l.bin, "redis-server"), args...)
}

// settingValues splits a directive's value as a configuration file would. An
// empty value is one empty word: it switches a setting off.
func settingValues(value string) []string {
	if value == "" {
		return []string{""}
	}
	return strings.Fields(value)
}

func (l *local) startError(err error) error {
	log := l.folder.Log()
	if strings.Contains(log, "Address already in use") {
		return fmt.Errorf("%w: %d", localproc.ErrPortTaken, l.port)
	}
	return fmt.Errorf("server did not come up: %w\n%s", err, log)
}

func (l *local) halt() error {
	if l.running == nil {
		return nil
	}
	l.running.Kill()
	l.running = nil
	return nil
}

func (l *local) close() error {
	return errors.Join(l.halt(), l.folder.Remove())
}

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
