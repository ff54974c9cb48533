// Command bench measures what pgidem costs, as ratios to the same business
// transaction without it.
//
// All contenders run in one process against one server with its default
// durability, on disk. They take turns within each round, in an order that
// changes from round to round, and each is compared with the bare transaction of
// its own round: on a noisy machine only such ratios mean something. What is
// printed is the median over the rounds.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"

	"github.com/pgidem/pgidem/internal/pgserver"
	"github.com/pgidem/pgidem/internal/testenv"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	plan := plan{clients: []int{1, 16, 64}}
	flag.IntVar(&plan.rounds, "rounds", 7, "rounds; the median over them is printed")
	flag.DurationVar(&plan.turn, "turn", time.Second, "how long each contender runs in each round")
	sweep := flag.Bool("sweep", false, "measure the sweep of a million expired records instead")
	flag.Parse()

	server, err := testenv.Postgres(ctx, pgserver.Options{Durable: true})
	if err != nil {
		return err
	}
	defer func() { _ = server.Stop() }()
	fmt.Println("PostgreSQL:", server.Origin())

	ground, err := newGround(ctx, server.URL(), plan.clients[len(plan.clients)-1])
	if err != nil {
		return err
	}
	defer ground.close()
	if *sweep {
		return ground.sweep(ctx, server.URL(), plan.turn)
	}
	results, err := plan.measure(ctx, ground)
	if err != nil {
		return err
	}
	return results.print(os.Stdout)
}
