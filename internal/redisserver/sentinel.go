package redisserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"github.com/pgidem/pgidem/internal/localproc"
)

// MasterName is how a Sentinel of StartSentinel calls its master.
const MasterName = "pgidem"

// StartSentinel starts a Sentinel that watches master, from the binaries on this
// machine. A failover client finds the master through its address.
func StartSentinel(ctx context.Context, master *Server) (*Server, error) {
	bin, err := findBinaries()
	if err != nil {
		return nil, err
	}
	folder, err := localproc.NewFolder("pgidem-redis-", false)
	if err != nil {
		return nil, err
	}
	l := &local{bin: bin, folder: folder, line: sentinelLine(folder)}
	if err := writeSentinelFile(folder, master.Addr()); err != nil {
		return nil, errors.Join(err, l.close())
	}
	if err := localproc.OnFreePort(func(port int) error { return l.startOn(ctx, port) }); err != nil {
		return nil, errors.Join(err, l.close())
	}
	return &Server{addr: address(l.port), origin: "local Sentinel from " + bin, local: l}, nil
}

func sentinelFile(folder *localproc.Folder) string {
	return filepath.Join(folder.Path(), "sentinel.conf")
}

// writeSentinelFile writes what a Sentinel reads at its start. It writes there
// itself what it finds out, as another user.
func writeSentinelFile(folder *localproc.Folder, master string) error {
	host, port, err := net.SplitHostPort(master)
	if err != nil {
		return err
	}
	name := sentinelFile(folder)
	text := fmt.Sprintf("bind 127.0.0.1\nprotected-mode no\nsentinel monitor %s %s %s 1\n", MasterName, host, port)
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		return err
	}
	return os.Chmod(name, 0o666) //nolint:gosec // the folder is closed to everybody but the two
}

// sentinelLine returns the command line for a port.
func sentinelLine(folder *localproc.Folder) func(bin string, port int) *exec.Cmd {
	return func(bin string, port int) *exec.Cmd {
		return exec.Command(filepath.Join(bin, "redis-server"), sentinelFile(folder), "--sentinel", "--port", strconv.Itoa(port))
	}
}
