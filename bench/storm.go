package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"time"

	"github.com/pgidem/pgidem/bench/internal/contend"
	"github.com/pgidem/pgidem/bench/internal/payment"
	"github.com/pgidem/pgidem/bench/internal/stats"
	"github.com/pgidem/pgidem/bench/internal/storm"
)

const (
	stormProcesses  = 4
	stormDuplicates = 1000
	stormHandler    = 200 * time.Millisecond
)

// stormStores are those that several processes can share.
var stormStores = []string{storm.Transactional, storm.Leased, storm.Redis}

// runStorm lets four processes send one request a thousand times at once, and
// says how often it ran, when they had their answers, and what the waiting cost.
func runStorm(ctx context.Context, o options) error {
	s, err := openStage(ctx, ownServer, "shared_preload_libraries=pg_stat_statements")
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.openRedis(ctx); err != nil {
		return err
	}
	if err := contend.Prepare(ctx, s.url); err != nil {
		return err
	}
	fmt.Println(s.facts)
	stores := o.stores
	if len(stores) == 0 {
		stores = stormStores
	}
	for _, store := range stores {
		for range o.rounds {
			if err := s.storm(ctx, store); err != nil {
				return fmt.Errorf("%s: %w", store, err)
			}
		}
	}
	return nil
}

// storm makes one, from start to end.
func (s *stage) storm(ctx context.Context, store string) error {
	count, err := s.counter(ctx, store)
	if err != nil {
		return err
	}
	defer count.close()
	task := storm.Task{
		Store: store, Postgres: s.url, Redis: s.redis.Addr(), Key: payment.NewKey(),
		Duplicates: stormDuplicates / stormProcesses, Handler: stormHandler,
	}
	processes, err := startAll(ctx, task)
	defer func() {
		for _, p := range processes {
			p.Close()
		}
	}()
	if err != nil {
		return err
	}
	if err := count.reset(ctx); err != nil {
		return err
	}
	at := time.Now().Add(100 * time.Millisecond)
	for _, p := range processes {
		if err := p.Go(at); err != nil {
			return err
		}
	}
	var outcomes []storm.Outcome
	for _, p := range processes {
		outcome, err := p.Outcome()
		if err != nil {
			return err
		}
		outcomes = append(outcomes, outcome)
	}
	calls, err := count.read(ctx)
	if err != nil {
		return err
	}
	return printStorm(store, outcomes, calls)
}

func startAll(ctx context.Context, task storm.Task) (processes []*storm.Process, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	for range stormProcesses {
		p, err := storm.Start(exec.CommandContext(ctx, self), task)
		if err != nil {
			return processes, err
		}
		processes = append(processes, p)
	}
	return processes, nil
}

// printStorm says what became of it, and fails unless the request ran once.
func printStorm(store string, outcomes []storm.Outcome, calls int64) error {
	var (
		runs      int
		committed time.Time
		late      []float64
	)
	for _, o := range outcomes {
		if runs += o.Runs; o.Runs > 0 {
			committed = o.Committed
		}
	}
	for _, o := range outcomes {
		for _, answered := range o.Answered {
			late = append(late, max(0, answered.Sub(committed).Seconds()*1000))
		}
	}
	fmt.Printf("\n%s: %d duplicates over %d processes: %d run; answered after its Commit began: p50 %.1f ms, p99 %.1f ms, last %.1f ms; %d statements or commands in all\n",
		store, len(late), len(outcomes), runs, stats.Percentile(late, 50), stats.Percentile(late, 99), stats.Percentile(late, 100), calls)
	for i, o := range outcomes {
		fmt.Printf("  process %d: %d runs; pool connections held while all waited: %d at most; heap %d kB before, %d kB while all waited, %d kB after\n",
			i+1, o.Runs, o.Held, o.HeapBefore/1024, o.HeapWaiting/1024, o.HeapAfter/1024)
	}
	if runs != 1 || len(late) != stormDuplicates {
		return fmt.Errorf("%d runs and %d answers, want 1 and %d", runs, len(late), stormDuplicates)
	}
	return nil
}
