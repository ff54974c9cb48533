package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
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
// In each round a broadcast that protects nothing comes first: what it needs, the
// machine needs.
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
	fmt.Printf("%s\n%d duplicates over %d processes of one request that takes %v; times since its Commit began\n\n",
		s.facts, stormDuplicates, stormProcesses, stormHandler)
	stores := o.stores
	if len(stores) == 0 {
		stores = stormStores
	}
	stores = append([]string{storm.Broadcast}, stores...)
	seen := make(map[string][]stormed)
	for range o.rounds {
		for _, store := range stores {
			r, err := s.storm(ctx, store)
			if err != nil {
				return fmt.Errorf("%s: %w", store, err)
			}
			r.print(store)
			seen[store] = append(seen[store], r)
		}
	}
	printStorms(stores, seen)
	return nil
}

// stormed is what became of one storm.
type stormed struct {
	storm.Result
	calls int64
}

// storm makes one, from start to end, and fails unless its request ran once and
// everybody has the answer.
func (s *stage) storm(ctx context.Context, store string) (r stormed, err error) {
	self, err := os.Executable()
	if err != nil {
		return r, err
	}
	count, err := s.counter(ctx, store)
	if err != nil {
		return r, err
	}
	defer count.close()
	task := storm.Task{
		Store: store, Postgres: s.url, Redis: s.redis.Addr(), Key: payment.NewKey(),
		Duplicates: stormDuplicates / stormProcesses, Handler: stormHandler,
	}
	processes, err := storm.Open(func() *exec.Cmd { return exec.CommandContext(ctx, self) }, task, stormProcesses)
	if err != nil {
		return r, err
	}
	defer processes.Close()
	if err := count.reset(ctx); err != nil {
		return r, err
	}
	outcomes, err := processes.Break(time.Now().Add(100 * time.Millisecond))
	if err != nil {
		return r, err
	}
	r.Result = storm.Sum(outcomes)
	if r.calls, err = count.read(ctx); err != nil {
		return r, err
	}
	return r, r.Check(stormDuplicates)
}

func (r stormed) print(store string) {
	fmt.Printf("%-10s  p50 %5.1f ms, p99 %5.1f ms, last %5.1f ms; Commit took %.1f ms; %d statements or commands; %d connections held by waiters; %.1f kB for each waiter, %+.1f kB later in the wait, %.1f kB in the end\n",
		store, r.after(50), r.after(99), r.after(100), r.Commit.Seconds()*1000, r.calls, r.Held, r.PerWaiter/1000, r.Grown/1000, r.Left/1000)
}

// after returns when so many percent were answered.
func (r stormed) after(percent float64) float64 { return stats.Percentile(r.Late, percent) }

// printStorms compares the stores over all rounds.
func printStorms(stores []string, seen map[string][]stormed) {
	fmt.Printf("\np99, in ms       median   best  worst  statements  connections held  kB a waiter\n")
	for _, store := range stores {
		var p99, kilobytes []float64
		var calls int64
		held := 0
		for _, r := range seen[store] {
			p99 = append(p99, r.after(99))
			kilobytes = append(kilobytes, r.PerWaiter/1000)
			calls, held = max(calls, r.calls), max(held, r.Held)
		}
		fmt.Printf("%-15s  %6.1f %6.1f %6.1f  %10d  %16d  %11.1f\n", store, stats.Median(p99), slices.Min(p99), slices.Max(p99), calls, held, stats.Median(kilobytes))
	}
}
