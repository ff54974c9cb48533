package redisserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

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
	folder, err := localproc.NewFolder(folderPrefix, false)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(folder.Path(), "sentinel.conf")
	if err := writeSentinelFile(file, master.Addr()); err != nil {
		return nil, errors.Join(err, folder.Remove())
	}
	return startIn(ctx, folder, bin, "local Sentinel", file, "--sentinel")
}

// writeSentinelFile writes what a Sentinel reads at its start. It writes there
// itself what it finds out, as another user.
func writeSentinelFile(name, master string) error {
	host, port, err := net.SplitHostPort(master)
	if err != nil {
		return err
	}
	text := fmt.Sprintf("bind 127.0.0.1\nprotected-mode no\nsentinel monitor %s %s %s 1\n", MasterName, host, port)
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		return err
	}
	return os.Chmod(name, 0o666) //nolint:gosec // the folder is closed to everybody but the two
}
