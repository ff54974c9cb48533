// Package site sets up what a torture run happens in: a PostgreSQL server with
// its default durability, its database in a small file system, a Redis server if
// the mode wants one, and server processes that reach both through proxies of
// their own. Everything ends with the process that has set it up.
package site

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"github.com/jackc/pgx/v5"

	"github.com/pgidem/pgidem/internal/localproc"
	"github.com/pgidem/pgidem/internal/pgserver"
	"github.com/pgidem/pgidem/internal/redisserver"
	"github.com/pgidem/pgidem/migrations"
	"github.com/pgidem/pgidem/torture/broken"
	"github.com/pgidem/pgidem/torture/history"
	"github.com/pgidem/pgidem/torture/ledger"
)

// Config says what is wanted.
type Config struct {
	Mode    string
	Broken  string // the broken store that the servers use; empty: none
	Servers int
	// Binary is the torture program, which a server process is.
	Binary string
}

// Site is a site that is set up.
type Site struct {
	Postgres *pgserver.Server
	Redis    *redisserver.Server // nil unless the mode wants it
	Servers  []*Server
	// Disk is where the database lies; nil where this process may not make a
	// file system, and then NoDisk says why.
	Disk   *Disk
	NoDisk error

	folder *localproc.Folder // one that the database server's user can reach
}

const database = "torture"

// Open sets a site up, with its servers running.
func Open(ctx context.Context, c Config) (*Site, error) {
	s := &Site{}
	if err := s.open(ctx, c); err != nil {
		return nil, errors.Join(fmt.Errorf("site: %w", err), s.Close())
	}
	return s, nil
}

func (s *Site) open(ctx context.Context, c Config) (err error) {
	if s.folder, err = localproc.NewFolder("pgidem-torture-site-", true); err != nil {
		return err
	}
	settings := []string{"deadlock_timeout=100ms"}
	if s.Postgres, err = pgserver.StartOrInstall(ctx, pgserver.Options{Durable: true, Settings: settings}); err != nil {
		return err
	}
	if err := s.createDatabase(ctx); err != nil {
		return err
	}
	if c.Mode == history.Redis {
		if s.Redis, err = redisserver.StartOrInstall(ctx, redisserver.Options{Durable: true}); err != nil {
			return err
		}
	}
	return s.startServers(ctx, c)
}

func (s *Site) createDatabase(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, s.Postgres.URL())
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	clause := ""
	if s.Disk, s.NoDisk = s.newDisk(ctx, conn); s.NoDisk == nil {
		clause = " TABLESPACE small"
	}
	if _, err := conn.Exec(ctx, "CREATE DATABASE "+database+clause); err != nil {
		return err
	}
	if err := migrations.Up(ctx, s.DatabaseURL()); err != nil {
		return err
	}
	own, err := s.Connect(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = own.Close(ctx) }()
	return errors.Join(ledger.Create(ctx, own), broken.Create(ctx, own))
}

// DatabaseURL leads to the database, as its owner and past all proxies.
func (s *Site) DatabaseURL() string { return s.urlFor("", "postgres") }

func (s *Site) urlFor(host, role string) string {
	u, _ := url.Parse(s.Postgres.URL()) // of our own making
	u.Path, u.User = database, url.User(role)
	if host != "" {
		u.Host = host
	}
	return u.String()
}

// Connect opens a connection to the database, as its owner and past all proxies.
func (s *Site) Connect(ctx context.Context) (*pgx.Conn, error) {
	return pgx.Connect(ctx, s.DatabaseURL())
}

func (s *Site) startServers(ctx context.Context, c Config) error {
	for n := range c.Servers {
		server, err := s.newServer(n+1, c)
		if err != nil {
			return err
		}
		s.Servers = append(s.Servers, server)
		if err := server.Start(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Server returns the server of that number, from 1.
func (s *Site) Server(number int) *Server { return s.Servers[number-1] }

// Close ends everything at once and removes it.
func (s *Site) Close() (err error) {
	for _, server := range s.Servers {
		server.close()
	}
	if s.Redis != nil {
		err = errors.Join(err, s.Redis.Stop())
	}
	if s.Postgres != nil {
		err = errors.Join(err, s.Postgres.Stop())
	}
	if s.Disk != nil {
		err = errors.Join(err, s.Disk.close())
	}
	if s.folder != nil {
		err = errors.Join(err, s.folder.Remove())
	}
	return err
}
