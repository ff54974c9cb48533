package pgserver

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os/exec"
	"path/filepath"

	"github.com/jackc/pgx/v5"

	"github.com/pgidem/pgidem/internal/localproc"
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
	l, err := startStandby(ctx, primary, options)
	if err != nil {
		return nil, fmt.Errorf("pgserver: standby: %w", err)
	}
	return &Server{url: l.url(), origin: "local standby from " + l.bin, local: l, stop: l.close}, nil
}

func startStandby(ctx context.Context, primary *Server, options Options) (*local, error) {
	folder, err := localproc.NewFolder("pgidem-postgres-", options.Durable)
	if err != nil {
		return nil, err
	}
	l := &local{bin: primary.local.bin, folder: folder, settings: options.AllSettings()}
	if err := l.copyFrom(ctx, primary.local); err != nil {
		return nil, errors.Join(err, l.close())
	}
	if err := l.startOnFreePort(ctx); err != nil {
		return nil, errors.Join(err, l.close())
	}
	return l, nil
}

// copyFrom makes the data folder as a running primary's copy that is set up to
// follow it.
func (l *local) copyFrom(ctx context.Context, primary *local) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	source, err := url.Parse(primary.url())
	if err != nil {
		return err
	}
	query := source.Query()
	query.Set("application_name", StandbyName)
	source.RawQuery = query.Encode()
	cmd := exec.CommandContext(ctx, filepath.Join(l.bin, "pg_basebackup"), "--pgdata="+l.data(), "--dbname="+source.String(),
		"--write-recovery-conf", "--checkpoint=fast", "--wal-method=stream", "--no-sync")
	cmd.Dir = l.folder.Path()
	cmd.SysProcAttr = l.folder.Attributes()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", cmd, err, out)
	}
	return nil
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
