package redisserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/pgidem/pgidem/internal/localproc"
)

// Environment variables that decide where a server comes from.
const (
	// AddrVariable names a running server, host:port. What tests write there
	// they remove again.
	AddrVariable = "PGIDEM_TEST_REDIS_ADDR"
	// ClusterVariable names nodes of a running Cluster, each host:port,
	// separated by commas.
	ClusterVariable = "PGIDEM_TEST_REDIS_CLUSTER"
	// BinVariable names the folder of redis-server and redis-cli, or of what
	// goes by their names: newer.sh makes one of Valkey, or of a newer Redis.
	BinVariable = "PGIDEM_REDIS_BIN"
)

// leg is one way to a server.
type leg = localproc.Leg[*Server]

// Find returns the first server that can be had: the one that AddrVariable
// names, one from local binaries, and on Debian as root one from a package that
// is installed for it. Otherwise the error names the reason of each.
func Find(ctx context.Context, options Options) (*Server, error) {
	return first(ctx, append([]leg{{Name: AddrVariable, Start: fromEnvironment}}, ownLegs(options)...))
}

// StartOrInstall is Find without the leg that leads to somebody else's server:
// what it returns can be halted.
func StartOrInstall(ctx context.Context, options Options) (*Server, error) {
	return first(ctx, ownLegs(options))
}

func ownLegs(options Options) []leg {
	return localproc.OwnLegs(findBinaries, func(ctx context.Context, bin string) (*Server, error) {
		return start(ctx, bin, options)
	}, "redis-server")
}

func first(ctx context.Context, legs []leg) (*Server, error) {
	server, err := localproc.First(ctx, "no Redis server: set "+AddrVariable+", or install Redis", legs)
	if err != nil {
		return nil, fmt.Errorf("redisserver: %w", err)
	}
	return server, nil
}

func fromEnvironment(ctx context.Context) (*Server, error) {
	addr := os.Getenv(AddrVariable)
	if addr == "" {
		return nil, errors.New("not set")
	}
	if err := ping(ctx, addr); err != nil {
		return nil, fmt.Errorf("%w (%w)", err, localproc.ErrDecisive)
	}
	return &Server{addr: addr, origin: "server of " + AddrVariable}, nil
}

// findBinaries returns the folder of redis-server.
func findBinaries() (string, error) {
	if dir := os.Getenv(BinVariable); dir != "" {
		if _, err := exec.LookPath(filepath.Join(dir, "redis-server")); err != nil {
			return "", fmt.Errorf("%s: %w (%w)", BinVariable, err, localproc.ErrDecisive)
		}
		return dir, nil
	}
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return "", errors.New("no redis-server in " + BinVariable + " or PATH")
	}
	return filepath.Dir(path), nil
}
