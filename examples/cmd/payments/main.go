// Command payments serves the example payments API.
//
// It is set up by the environment:
//
//	DATABASE_URL  the PostgreSQL database to use. Without it the program finds
//	              or starts a server and makes a database there, which it
//	              removes when it ends.
//	ADDR          the address to listen on. Port 0 takes a free one; the bound
//	              address is printed. Defaults to 127.0.0.1:8080.
//	STORE         where idempotency records are kept: postgres or memory.
//	              Defaults to postgres.
//
// Several processes may share one database. SIGTERM and SIGINT let running
// requests end; a second one does not.
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
