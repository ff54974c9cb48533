// Package testenv finds the servers that tests, demo and benchmarks need. It is
// pgserver with one more way to a server, Docker, whose library is kept out of
// the module that users import.
package testenv

import (
	"context"

	"github.com/pgidem/pgidem/internal/pgserver"
)

// Postgres returns the first server that can be had: the one that
// PGIDEM_TEST_POSTGRES_URL names, a container, a server from local binaries, or
// on Debian as root from a package that is installed for it. If there is none,
// the error names the reason of each.
func Postgres(ctx context.Context, options pgserver.Options) (*pgserver.Server, error) {
	return pgserver.Find(ctx, options, pgserver.Leg{
		Name: "Docker",
		Start: func(ctx context.Context) (*pgserver.Server, error) {
			return dockerPostgres(ctx, options)
		},
	})
}
