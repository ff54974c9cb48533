// Package migrations makes and removes pgidem's tables in a PostgreSQL database.
//
// The same files serve three ways:
//
//   - [Up], [Down] and [Version], for a program that migrates by itself;
//   - golang-migrate's command line tool on this folder, told the name of the
//     version table, or it would take the application's own;
//   - [FS], for any other tool that takes numbered SQL files.
//
// The command line tool is called so:
//
//	migrate -path migrations \
//	    -database 'postgres://…/app?x-migrations-table=pgidem_schema_migrations' up
//
// or with pgx5:// in place of postgres://, whichever driver it was built with.
//
// The first two agree on the version table and on the advisory lock, so they may
// be mixed and run at the same time. The tables are made in the first schema of
// the connection's search_path.
package migrations

import "embed"

// FS holds the migrations, named NNNNNN_name.up.sql and NNNNNN_name.down.sql.
//
//go:embed *.sql
var FS embed.FS

// VersionTable is the table in which the version of the schema is kept. It is
// not golang-migrate's default, so that an application's own history in the same
// database stays untouched.
const VersionTable = "pgidem_schema_migrations"
