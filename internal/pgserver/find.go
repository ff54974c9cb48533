package pgserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
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
type Leg struct {
	// Name says what is tried, as "Docker".
	Name string
	// Start returns a server that is ready, or why there is none this way.
	Start func(context.Context) (*Server, error)
}

// Find returns the first server that can be had: the one that URLVariable
// names, those of the legs between, one from local binaries, and on Debian as
// root one from a package that is installed for it. Otherwise the error names
// the reason of each.
func Find(ctx context.Context, options Options, between ...Leg) (*Server, error) {
	legs := []Leg{{URLVariable, fromEnvironment}}
	legs = append(legs, between...)
	return first(ctx, append(legs, ownLegs(options)...))
}

// StartOrInstall is Find without the legs that may lead to somebody else's
// server: what it returns can be halted and signalled.
func StartOrInstall(ctx context.Context, options Options) (*Server, error) {
	return first(ctx, ownLegs(options))
}

func ownLegs(options Options) []Leg {
	return []Leg{
		{"local binaries", func(ctx context.Context) (*Server, error) { return Start(ctx, options) }},
		{"Debian package", func(ctx context.Context) (*Server, error) { return installAndStart(ctx, options) }},
	}
}

func first(ctx context.Context, legs []Leg) (*Server, error) {
	var reasons []string
	for _, leg := range legs {
		server, err := leg.Start(ctx)
		if err == nil {
			return server, nil
		}
		if errors.Is(err, errDecisive) || ctx.Err() != nil {
			return nil, fmt.Errorf("pgserver: %s: %w", leg.Name, err)
		}
		reasons = append(reasons, fmt.Sprintf("  - %s: %v", leg.Name, err))
	}
	return nil, fmt.Errorf("pgserver: no PostgreSQL server: set %s, start Docker, or install PostgreSQL. Tried:\n%s",
		URLVariable, strings.Join(reasons, "\n"))
}

// errDecisive marks the failure of what was asked for by name: to take something
// else in its place would test what nobody wanted to test.
var errDecisive = errors.New("asked for by name, so nothing else is tried")

func fromEnvironment(ctx context.Context) (*Server, error) {
	url := os.Getenv(URLVariable)
	if url == "" {
		return nil, errors.New("not set")
	}
	if err := ping(ctx, url); err != nil {
		return nil, fmt.Errorf("%w (%w)", err, errDecisive)
	}
	return Foreign(url, "server of "+URLVariable, nil), nil
}
