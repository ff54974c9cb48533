package pgserver

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// ping tells whether url takes connections. Only a real login tells: a server
// that is starting listens already.
func ping(ctx context.Context, url string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}
