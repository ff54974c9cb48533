package pgserver

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/pgidem/pgidem/internal/localproc"
)

// Environment variables that decide where a server comes from.
const (
	// URLVariable names a running server. A role that may create databases is
	// needed; what tests make there they remove again.
	URLVariable = "PGIDEM_TEST_POSTGRES_URL"
	// BinVariable names the folder of initdb and postgres.
	BinVariable = "PGIDEM_PG_BIN"
)

// Leg is one way to a server.
type Leg = localproc.Leg[*Server]

// Find returns the first server that can be had: the one that URLVariable
// names, those of the legs between, one from local binaries, and on Debian as
// root one from a package that is installed for it. Otherwise the error names
// the reason of each.
func Find(ctx context.Context, options Options, between ...Leg) (*Server, error) {
	legs := []Leg{{Name: URLVariable, Start: fromEnvironment}}
	legs = append(legs, between...)
	return first(ctx, append(legs, ownLegs(options)...))
}

// StartOrInstall is Find without the legs that may lead to somebody else's
// server: what it returns can be halted and signalled.
func StartOrInstall(ctx context.Context, options Options) (*Server, error) {
	return first(ctx, ownLegs(options))
}

func ownLegs(options Options) []Leg {
	return localproc.OwnLegs(findBinaries, func(ctx context.Context, bin string) (*Server, error) {
		return start(ctx, bin, options)
	}, "postgresql")
}

func first(ctx context.Context, legs []Leg) (*Server, error) {
	server, err := localproc.First(ctx, "no PostgreSQL server: set "+URLVariable+", start Docker, or install PostgreSQL", legs)
	if err != nil {
		return nil, fmt.Errorf("pgserver: %w", err)
	}
	return server, nil
}

func fromEnvironment(ctx context.Context) (*Server, error) {
	url := os.Getenv(URLVariable)
	if url == "" {
		return nil, errors.New("not set")
	}
	if err := ping(ctx, url); err != nil {
		return nil, fmt.Errorf("%w (%w)", err, localproc.ErrDecisive)
	}
	return Foreign(url, "server of "+URLVariable, nil), nil
}
