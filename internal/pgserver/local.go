package pgserver

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/pgidem/pgidem/internal/localproc"
)

// local is a server of ours.
type local struct {
	*localproc.Server
	bin      string
	settings []string
}

// startLocal starts a server of the binaries in bin, on the data folder that
// prepare makes.
func startLocal(ctx context.Context, bin string, options Options, prepare func(context.Context, *local) error) (*local, error) {
	folder, err := localproc.NewFolder("pgidem-postgres-", options.Durable)
	if err != nil {
		return nil, err
	}
	l := &local{bin: bin, settings: options.AllSettings()}
	l.Server = &localproc.Server{
		Folder:    folder,
		Command:   l.command,
		Ask:       func(ctx context.Context, port int) error { return ping(ctx, urlOf(port)) },
		PortTaken: "could not bind",
		Last:      syscall.SIGQUIT, // the server's immediate shutdown
	}
	err = prepare(ctx, l)
	if err == nil {
		err = l.Start(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

func (l *local) data() string { return filepath.Join(l.Folder.Path(), "data") }

func initialize(ctx context.Context, l *local) error {
	return l.run(ctx, "initdb", "-D", l.data(), "-U", "postgres",
		"-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions")
}

// run runs one of the server's own programs, as the server's user.
func (l *local) run(ctx context.Context, program string, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, localproc.StartTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(l.bin, program), args...)
	cmd.Dir = l.Folder.Path()
	cmd.SysProcAttr = l.Folder.Attributes()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", cmd, err, out)
	}
	return nil
}

func (l *local) command(port int) *exec.Cmd {
	args := []string{"-D", l.data(), "-k", "", "-c", "listen_addresses=127.0.0.1", "-c", "port=" + strconv.Itoa(port)}
	for _, setting := range l.settings {
		args = append(args, "-c", setting)
	}
	return exec.Command(filepath.Join(l.bin, "postgres"), args...)
}

func (l *local) url() string { return urlOf(l.Port()) }

func urlOf(port int) string {
	u := url.URL{
		Scheme:   "postgres",
		User:     url.User("postgres"),
		Host:     localproc.Loopback(port),
		Path:     "/postgres",
		RawQuery: "sslmode=disable",
	}
	return u.String()
}
