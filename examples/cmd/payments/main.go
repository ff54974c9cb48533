// Command payments serves the example payments API.
//
// It is set up by the environment:
//
//	DATABASE_URL  the PostgreSQL database to use. Without it the program finds
//	              or starts a server and makes a database there, which it
//	              removes when it ends.
//	ADDR          the address to listen on. Port 0 takes a free one; the bound
//	              address is printed. Defaults to 127.0.0.1:8080.
//	STORE         where idempotency records are kept: postgres (committed with
//	              the payment), leased (in PostgreSQL, too, but by a commit of
//	              their own), redis or memory. Defaults to postgres.
//	LEASE         how long a reservation of leased or redis lasts unless it is
//	              renewed: after a crash, how long its key stays in flight.
//	              Defaults to 30s.
//	REDIS_URL     the Redis server to use, redis://… or rediss://…. Without it the
//	              program finds or starts one, and removes its records when it ends.
//	REDIS_PREFIX  what the records' names begin with on the server of REDIS_URL.
//	              Defaults to redisstore's own prefix.
//
// Several processes may share one database and one Redis server. SIGTERM and
// SIGINT let running requests end; a second one does not.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// From the first signal on the second one has its ordinary effect.
	context.AfterFunc(ctx, stop)
	logger := slog.New(slog.NewTextHandler(os.Stderr, nil))
	if err := run(ctx, os.Getenv, os.Stdout, logger); err != nil {
		fmt.Fprintln(os.Stderr, "payments:", err)
		os.Exit(1)
	}
}
