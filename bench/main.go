// Command bench measures what pgidem costs, as ratios to the same work without
// it.
//
// All contenders run against one server with its default durability, on disk.
// They take turns within each round, in an order that changes, and each is
// compared with the references in its own round: on a noisy machine only such
// ratios mean something. What is printed are medians over the rounds, and how far
// the rounds spread.
//
// Without a flag that says otherwise it measures the table: every store, the
// textbook's patterns and the references under every workload.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"

	"github.com/pgidem/pgidem/bench/internal/delayline"
	"github.com/pgidem/pgidem/bench/internal/storm"
)

func main() {
	if delayline.Child() || storm.Child() {
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := run(ctx, os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1) //nolint:gocritic // nothing is left to be deferred
	}
}

func run(ctx context.Context, arguments []string) error {
	o, err := parse(arguments)
	if err != nil {
		return err
	}
	switch o.mode {
	case "budget":
		return runBudget(ctx, o)
	case "storm":
		return runStorm(ctx, o)
	case "scale":
		return runScale(ctx, o)
	case "sweep":
		return runSweep(ctx, o)
	case "ping":
		return runPing(ctx, o)
	default:
		return runTable(ctx, o)
	}
}
