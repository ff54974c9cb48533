package migrations

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/golang-migrate/migrate/v4/source"
	"github.com/jackc/pgx/v5"
)

// Version returns the version of the schema in the database, 0 if there is none,
// and whether a migration to it began and did not end. It changes nothing and
// needs no right but to read the version table. For databaseURL see [Up].
func Version(ctx context.Context, databaseURL string) (version uint, dirty bool, err error) {
	config, err := parseURL(databaseURL)
	if err != nil {
		return 0, false, fmt.Errorf("migrations: version: %w", err)
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return 0, false, fmt.Errorf("migrations: version: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	version, dirty, err = readVersion(ctx, conn)
	if err != nil {
		return 0, false, fmt.Errorf("migrations: version: %w", err)
	}
	return version, dirty, nil
}

// readVersion looks into current_schema() and nowhere else on the search_path,
// as Up does.
func readVersion(ctx context.Context, conn *pgx.Conn) (version uint, dirty bool, err error) {
	var table *string
	const locate = `SELECT to_regclass(quote_ident(current_schema()) || '.' || quote_ident($1::text))::text`
	if err := conn.QueryRow(ctx, locate, VersionTable).Scan(&table); err != nil || table == nil {
		return 0, false, err
	}
	// -1 stands for "no version", written while the first migration is undone.
	err = conn.QueryRow(ctx, `SELECT greatest(version, 0), dirty FROM `+*table).Scan(&version, &dirty)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, false, nil
	}
	return version, dirty, err
}

// latestVersion returns the newest version among files.
func latestVersion(files source.Driver) (uint, error) {
	latest, err := files.First()
	for next := latest; err == nil; next, err = files.Next(latest) {
		latest = next
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return 0, err
	}
	return latest, nil
}
