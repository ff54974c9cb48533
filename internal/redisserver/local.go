package redisserver

import (
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/pgidem/pgidem/internal/localproc"
)

// busOffset is how far a Cluster node's second port lies above its first.
const busOffset = 10000

func start(ctx context.Context, bin string, options Options) (*Server, error) {
	folder, err := localproc.NewFolder(folderPrefix, options.Durable)
	if err != nil {
		return nil, err
	}
	args := []string{"--dir", folder.Path()}
	for _, directive := range options.directives() {
		name, value, _ := strings.Cut(directive, " ")
		args = append(append(args, "--"+name), settingValues(value)...)
	}
	return startIn(ctx, folder, bin, "local server", args...)
}

// directives returns all settings, the later ones winning over the earlier.
func (o Options) directives() []string {
	all := []string{"bind 127.0.0.1", "protected-mode no", "daemonize no", "save", "appendonly no"}
	if o.Durable {
		all = append(all, "appendonly yes", "appendfsync always")
	}
	return append(all, o.Settings...)
}

// settingValues splits a directive's value as a configuration file would. An
// empty value is one empty word: it switches a setting off.
func settingValues(value string) []string {
	if value == "" {
		return []string{""}
	}
	return strings.Fields(value)
}

const folderPrefix = "pgidem-redis-"

// startIn starts redis-server with args, and with the port that it is to take.
func startIn(ctx context.Context, folder *localproc.Folder, bin, kind string, args ...string) (*Server, error) {
	l := &localproc.Server{
		Folder: folder,
		Command: func(port int) *exec.Cmd {
			return exec.Command(filepath.Join(bin, "redis-server"), append(args[:len(args):len(args)], "--port", strconv.Itoa(port))...)
		},
		Ask:        func(ctx context.Context, port int) error { return ping(ctx, localproc.Loopback(port)) },
		PortTaken:  "Address already in use",
		SecondPort: busOffset,
		// It has no chance to write anything.
		Last: syscall.SIGKILL,
	}
	if err := l.Start(ctx); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return &Server{addr: localproc.Loopback(l.Port()), origin: kind + " from " + bin, local: l}, nil
}
