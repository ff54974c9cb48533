// Package ephemeral gives an example program a PostgreSQL database and a part of
// a Redis server that are gone when the program ends.
package ephemeral

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgidem/pgidem/internal/pgserver"
	"github.com/pgidem/pgidem/internal/testenv"
)

// dropTime bounds what Close does on the server.
const dropTime = 10 * time.Second

// Database is an empty database of the program's own.
type Database struct {
	server   *pgserver.Server
	adminURL string
	name     string
}

// Open finds or starts a server with its default, durable settings and makes a
// database on it. A server that was running already keeps running; what else is
// on it is not touched.
func Open(ctx context.Context) (*Database, error) {
	server, err := testenv.Postgres(ctx, pgserver.Options{Durable: true})
	if err != nil {
		return nil, err
	}
	db := &Database{server: server, adminURL: server.URL(), name: "pgidem_example_" + strings.ToLower(rand.Text())}
	if err := db.admin(ctx, "CREATE DATABASE "+db.name); err != nil {
		return nil, errors.Join(err, server.Stop())
	}
	return db, nil
}

// Origin says where the server comes from.
func (db *Database) Origin() string { return db.server.Origin() }

// Name is the name of the database.
func (db *Database) Name() string { return db.name }

// URL leads to the database.
func (db *Database) URL() string { return databaseURL(db.adminURL, db.name) }

// Close drops the database, with whoever is still connected to it, and stops
// the server if Open has started it. It may be called once.
func (db *Database) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), dropTime)
	defer cancel()
	err := db.admin(ctx, "DROP DATABASE IF EXISTS "+db.name+" WITH (FORCE)")
	return errors.Join(err, db.server.Stop())
}

func (db *Database) admin(ctx context.Context, sql string) error {
	conn, err := pgx.Connect(ctx, db.adminURL)
	if err != nil {
		return fmt.Errorf("ephemeral: %w", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, sql); err != nil {
		return fmt.Errorf("ephemeral: %w", err)
	}
	return nil
}

// databaseURL returns connection with another database name. Of a parameter that
// stands twice in a keyword string, the last one counts.
func databaseURL(connection, name string) string {
	u, err := url.Parse(connection)
	if err != nil || !strings.HasPrefix(u.Scheme, "postgres") {
		return connection + " dbname=" + name
	}
	u.Path = "/" + name
	return u.String()
}
