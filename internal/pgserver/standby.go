package pgserver

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"github.com/jackc/pgx/v5"
)

// StandbyName is how a standby of StartStandby calls itself, for its primary's
// synchronous_standby_names.
const StandbyName = "pgidem_standby"

// StartStandby starts a server that streams from primary, which must be one that
// this process has started. It takes connections, for reading, when this returns.
// Promote makes a primary of it.
func StartStandby(ctx context.Context, primary *Server, options Options) (*Server, error) {
	if primary.local == nil {
		return nil, errNotOurs
	}
	l, err := startLocal(ctx, primary.local.bin, options, copyOf(primary))
	if err != nil {
		return nil, fmt.Errorf("pgserver: standby: %w", err)
	}
	return ours(l, "local standby"), nil
}

// copyOf makes the data folder as a running primary's copy that is set up to
// follow it.
func copyOf(primary *Server) func(context.Context, *local) error {
	return func(ctx context.Context, l *local) error {
		source, err := url.Parse(primary.url)
		if err != nil {
			return err
		}
		query := source.Query()
		query.Set("application_name", StandbyName)
		source.RawQuery = query.Encode()
		return l.run(ctx, "pg_basebackup", "--pgdata="+l.data(), "--dbname="+source.String(),
			"--write-recovery-conf", "--checkpoint=fast", "--wal-method=stream", "--no-sync")
	}
}

// Promote makes a primary of a standby, and returns when it takes writes.
func (s *Server) Promote(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, s.url)
	if err != nil {
		return fmt.Errorf("pgserver: promote: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	var promoted bool
	err = conn.QueryRow(ctx, "SELECT pg_promote(true)").Scan(&promoted)
	if err == nil && !promoted {
		err = errors.New("not within a minute")
	}
	if err != nil {
		return fmt.Errorf("pgserver: promote: %w", err)
	}
	return nil
}
