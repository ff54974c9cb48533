package migrations

import (
	"context"
	"errors"
	"fmt"

	"github.com/golang-migrate/migrate/v4"
)

// Errors of Up and Down that need a person. Test for them with errors.Is; what is
// returned says which versions are concerned and what to do.
var (
	// ErrDirty: an earlier migration began and did not end, so that what the
	// database holds is not known.
	ErrDirty = errors.New("migrations: schema is dirty")
	// ErrNewer: the schema was migrated by a newer release than this one.
	ErrNewer = errors.New("migrations: schema is newer than this release")
)

func newerError(found, latest uint) error {
	return fmt.Errorf("%w: the database has version %d, this release knows versions up to %d: "+
		"use a release of pgidem that knows version %d; nothing was changed", ErrNewer, found, latest, found)
}

func dirtyError(version int) error {
	return fmt.Errorf("%w: the migration to version %d did not end. Compare the tables with file %06d_*.up.sql, "+
		"bring them to that version or to the one before by hand, then write down which it is: "+
		"migrate -path migrations -database '…?x-migrations-table=%s' force VERSION",
		ErrDirty, version, version, VersionTable)
}

// explain turns what a run of migrations ended with into an error for a person,
// and into nil if there was nothing to do.
func explain(ctx context.Context, verb string, err error) error {
	var dirty migrate.ErrDirty
	switch {
	case err == nil, errors.Is(err, migrate.ErrNoChange):
		return nil
	case errors.As(err, &dirty):
		return dirtyError(dirty.Version)
	case errors.Is(err, ErrNewer):
		return err
	case ctx.Err() != nil:
		return fmt.Errorf("migrations: %s: %w: %w", verb, context.Cause(ctx), err)
	}
	return fmt.Errorf("migrations: %s: %w", verb, err)
}
