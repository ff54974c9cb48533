package inject

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgidem/pgidem/torture/ledger"
	"github.com/pgidem/pgidem/torture/plan"
	"github.com/pgidem/pgidem/torture/site"
)

// readOnly takes from the servers the right to write. Whether a transaction may
// write at all, which would be another way, every store says itself.
func readOnly(ctx context.Context, s *site.Site, _ plan.Fault) (End, error) {
	const rights = "INSERT, UPDATE, DELETE ON " + ledger.Tables
	return func(ctx context.Context) error {
		return patiently(ctx, func() error { return execute(ctx, s, "GRANT "+rights+" TO "+ledger.Role) })
	}, patiently(ctx, func() error { return execute(ctx, s, "REVOKE "+rights+" FROM "+ledger.Role) })
}

// lockTable keeps everybody off the records, as a migration may do.
func lockTable(ctx context.Context, s *site.Site, _ plan.Fault) (end End, err error) {
	err = patiently(ctx, func() error {
		conn, err := s.Connect(ctx)
		if err != nil {
			return err
		}
		if _, err := conn.Exec(ctx, "BEGIN; LOCK TABLE pgidem_records", pgx.QueryExecModeSimpleProtocol); err != nil {
			return errors.Join(err, conn.Close(ctx))
		}
		end = conn.Close
		return nil
	})
	return end, err
}

func fillDisk(_ context.Context, s *site.Site, _ plan.Fault) (End, error) {
	if s.Disk == nil {
		return nil, fmt.Errorf("%w: %w", ErrImpossible, s.NoDisk)
	}
	return func(context.Context) error { return s.Disk.Empty() }, s.Disk.Fill()
}

// patiently tries until it works: other faults are about, and the database may
// be down or still recovering.
func patiently(ctx context.Context, try func() error) error {
	tick := time.NewTicker(victimPoll)
	defer tick.Stop()
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return err
		}
	}
}

func execute(ctx context.Context, s *site.Site, sql string) error {
	conn, err := s.Connect(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	_, err = conn.Exec(ctx, sql)
	return err
}
