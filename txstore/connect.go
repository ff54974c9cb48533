package txstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
)

// connect opens a connection as the pool does, and finds out whether it leads to
// the server itself.
//
// It runs where nobody recovers: a panic of pgx, at a Config.ListenConn that was made
// by hand, or of a hook of the pool is an error.
func (l *listener) connect(ctx context.Context) (_ *pgx.Conn, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("txstore: panic while connecting for notifications: %v", p)
		}
	}()
	config := l.store.config.ListenConn
	if config == nil {
		pool := l.store.pool.Config()
		config = pool.ConnConfig
		if pool.BeforeConnect != nil {
			if err := pool.BeforeConnect(ctx, config); err != nil {
				return nil, err
			}
		}
	} else {
		config = config.Copy()
	}
	config.OnNotification = nil // ours are read where they are waited for
	// The pool's way to interrupt a call may be to ask the server to cancel it: a
	// wait would outlast that, for it is no statement.
	config.BuildContextWatcherHandler = func(conn *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.DeadlineContextWatcherHandler{Conn: conn.Conn()}
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	if err := l.listen(ctx, conn); err != nil {
		_ = conn.Close(ctx)
		return nil, err
	}
	return conn, nil
}

func (l *listener) listen(ctx context.Context, conn *pgx.Conn) error {
	var pid int64
	err := conn.QueryRow(ctx, "SELECT pg_catalog.pg_backend_pid()", pgx.QueryExecModeSimpleProtocol).Scan(&pid)
	if err != nil {
		return err
	}
	if pid != int64(conn.PgConn().PID()) {
		l.deafen()
		return errors.New("txstore: a connection pooler stands before the server, waiters will poll: set Config.ListenConn to the server's own address")
	}
	_, err = conn.Exec(ctx, "LISTEN "+wakeChannel, pgx.QueryExecModeSimpleProtocol)
	return err
}
