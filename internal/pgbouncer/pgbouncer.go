// Package pgbouncer starts a PgBouncer in transaction pooling before a PostgreSQL
// server, for tests. It listens on loopback, keeps its files in a temporary
// folder, and ends with the process.
package pgbouncer

import (
	"context"
	"fmt"
	"net/url"

	"github.com/pgidem/pgidem/internal/localproc"
)

// Options say how clients are pooled.
type Options struct {
	// Prepared lets clients use prepared statements, which PgBouncer then follows
	// from one server connection to another. Versions before 1.22 cannot, and
	// Start fails. Without it they must not, as with every older version.
	Prepared bool
	// PoolSize bounds the server connections for each role in each database.
	// Defaults to 20.
	PoolSize int
}

const defaultPoolSize = 20

// Server is a PgBouncer that is ready for connections. Its methods are safe for
// concurrent use, but for Stop.
type Server struct {
	upstream *url.URL
	prepared bool
	local    *localproc.Server
}

// Start starts a PgBouncer from the program on this machine, or on Debian as
// root from a package that is installed for it. upstream is the postgres:// URL
// of the server behind it; its role must be allowed to see other roles'
// passwords, so that any of them can log in.
func Start(ctx context.Context, upstream string, options Options) (*Server, error) {
	server, err := start(ctx, upstream, options)
	if err != nil {
		return nil, fmt.Errorf("pgbouncer: %w", err)
	}
	return server, nil
}

func start(ctx context.Context, upstream string, options Options) (*Server, error) {
	u, err := url.Parse(upstream)
	if err != nil || u.Hostname() == "" {
		return nil, fmt.Errorf("%q is no URL of a server", upstream)
	}
	program, err := findOrInstall(ctx)
	if err != nil {
		return nil, err
	}
	version, err := versionOf(ctx, program)
	if err != nil {
		return nil, err
	}
	if options.Prepared && !version.Prepares() {
		return nil, fmt.Errorf("%s is version %s, which cannot follow prepared statements: name a newer one in %s (newer.sh gets one)", program, version, ProgramVariable)
	}
	local, err := startLocal(ctx, program, settings(u, version, options))
	if err != nil {
		return nil, err
	}
	return &Server{upstream: u, prepared: options.Prepared, local: local}, nil
}

// URL leads through the pooler to the database that the upstream URL named, in
// pgx's way of executing queries that works there: one without named prepared
// statements, unless PgBouncer follows them.
func (s *Server) URL() string { return s.Route(s.upstream) }

// Route returns URL for another role or database on the same server.
func (s *Server) Route(direct *url.URL) string {
	u := *direct
	u.Host = localproc.Loopback(s.local.Port())
	query := u.Query()
	query.Set("sslmode", "disable")
	if !s.prepared {
		query.Set("default_query_exec_mode", "cache_describe")
	}
	u.RawQuery = query.Encode()
	return u.String()
}

// Stop ends the pooler and removes its files.
func (s *Server) Stop() error {
	if err := s.local.Close(); err != nil {
		return fmt.Errorf("pgbouncer: stop: %w", err)
	}
	return nil
}
