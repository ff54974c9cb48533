// Command demo shows what pgidem promises, on real input.
//
// It starts a PostgreSQL server and two processes of the example payments API,
// and lets a storm of clients loose on them: every payment is sent by several
// racing duplicates to both processes, clients lose patience and hang up, one
// process is killed and started again, and some keys are used again for another
// payment. Then it looks into the database and says what is there. It exits with
// status 0 only if that is what was promised; STORE chooses the store, and with it
// the promise.
//
// Run it in the examples module: go run ./cmd/demo
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// Exit statuses besides 0.
const (
	exitFailed      = 1 // the promise did not hold, or the demo could not run
	exitUsage       = 2
	exitInterrupted = 130
)

func main() { os.Exit(realMain()) }

func realMain() int {
	options, err := parseOptions(os.Args[1:], os.Getenv, os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintln(os.Stderr, "demo:", err)
		return exitUsage
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// From the first signal on the second one has its ordinary effect.
	context.AfterFunc(ctx, stop)
	holds, err := run(ctx, options, newScreen(os.Stdout))
	switch {
	case ctx.Err() != nil:
		fmt.Fprintln(os.Stderr, "demo: interrupted; everything was cleaned up")
		return exitInterrupted
	case err != nil:
		fmt.Fprintln(os.Stderr, "demo:", err)
		return exitFailed
	case !holds:
		return exitFailed
	}
	return 0
}
