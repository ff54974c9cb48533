package migrations

import (
	"context"
	"database/sql"
	"errors"
	"net"

	"github.com/golang-migrate/migrate/v4/database"
	pgxmigrate "github.com/golang-migrate/migrate/v4/database/pgx/v5"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
)

// errURL does not say what is wrong with the URL: the parser's words can quote
// any part of it, and one part is the password.
var errURL = errors.New("database URL cannot be parsed: want postgres://USER:PASSWORD@HOST:PORT/DATABASE " +
	"(special characters in the password as %XX) or host=HOST dbname=DATABASE …")

// errNoSchema: there is nowhere to make a table.
var errNoSchema = errors.New("no schema of the search_path exists: create one, or name one that does (…?search_path=NAME)")

// parseURL goes through pgxpool, whose own parameters in the URL would otherwise
// be sent to the server.
func parseURL(databaseURL string) (*pgx.ConnConfig, error) {
	config, err := pgxpool.ParseConfig(databaseURL)
	if err != nil {
		return nil, errURL
	}
	return config.ConnConfig, nil
}

// driver gives golang-migrate's driver, which knows no context, one: until the
// first migration begins, the end of ctx cuts the connection.
type driver struct {
	database.Driver
	ctx    context.Context
	disarm func() bool // from now on the end of ctx cuts nothing
	cut    context.CancelFunc
	latest uint
}

func openDriver(ctx context.Context, databaseURL string, latest uint) (database.Driver, error) {
	config, err := parseURL(databaseURL)
	if err != nil {
		return nil, err
	}
	severed, cut := context.WithCancel(context.WithoutCancel(ctx))
	disarm := context.AfterFunc(ctx, cut)
	closeOnDone(severed, config)
	db := stdlib.OpenDB(*config)
	inner, err := newInner(ctx, db, config.Database)
	if err != nil {
		cut()
		return nil, errors.Join(err, db.Close())
	}
	return &driver{Driver: inner, ctx: ctx, disarm: disarm, cut: cut, latest: latest}, nil
}

// closeOnDone closes every connection that is made with config when ctx ends.
func closeOnDone(ctx context.Context, config *pgx.ConnConfig) {
	dial := config.DialFunc
	config.DialFunc = func(dialCtx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(dialCtx, network, address)
		if err == nil {
			context.AfterFunc(ctx, func() { _ = conn.Close() })
		}
		return conn, err
	}
}

func newInner(ctx context.Context, db *sql.DB, databaseName string) (database.Driver, error) {
	// Connects under ctx; what follows uses this connection.
	var schema sql.NullString
	if err := db.QueryRowContext(ctx, "SELECT current_schema()").Scan(&schema); err != nil {
		return nil, err
	}
	if !schema.Valid {
		return nil, errNoSchema
	}
	return pgxmigrate.WithInstance(db, &pgxmigrate.Config{
		MigrationsTable: VersionTable,
		// The path of a URL, as the command line tool passes it: the name goes
		// into the lock's number.
		DatabaseName: "/" + databaseName,
	})
}

// Version is called under the lock, before anything is changed.
func (d *driver) Version() (version int, dirty bool, err error) {
	version, dirty, err = d.Driver.Version()
	if err == nil && version > int(d.latest) {
		return version, dirty, newerError(uint(version), d.latest)
	}
	return version, dirty, err
}

// SetVersion with dirty announces a migration. Cut in the middle of one, the
// schema would stay dirty, so this is the last moment to heed ctx.
func (d *driver) SetVersion(version int, dirty bool) error {
	if dirty {
		d.disarm()
		if err := d.ctx.Err(); err != nil {
			return err
		}
	}
	return d.Driver.SetVersion(version, dirty)
}

func (d *driver) Close() error {
	defer d.cut()
	d.disarm()
	return d.Driver.Close()
}
