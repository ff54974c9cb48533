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
	s, err := openStage(ctx, ownServer)
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
	seen := make(map[string]*storms)
	for range o.rounds {
		for _, store := range append([]string{storm.Broadcast}, stores...) {
			if seen[store] == nil {
				seen[store] = &storms{}
			}
			if err := s.stormOnce(ctx, store, seen[store]); err != nil {
				return fmt.Errorf("%s: %w", store, err)
			}
		}
	}
	fmt.Printf("\np99, in ms       median   best  worst  statements  connections held  kB a waiter\n")
	for _, store := range append([]string{storm.Broadcast}, stores...) {
		seen[store].print(store)
	}
	return nil
}

// storms are a store's, over all rounds.
type storms struct {
	p99, kilobytes []float64
	held           int
	calls          int64
}

// stormOnce makes one to be timed, and another one to be counted.
func (s *stage) stormOnce(ctx context.Context, store string, all *storms) error {
	r, err := s.storm(ctx, store, s.url, func(context.Context) error { return nil })
	if err != nil {
		return err
	}
	p99 := stats.Percentile(r.Late, 99)
	fmt.Printf("%-10s  p50 %5.1f ms, p99 %5.1f ms, last %5.1f ms; Commit took %.1f ms; %.1f kB a waiter, %+.1f kB later in the wait, %.1f kB in the end\n",
		store, stats.Percentile(r.Late, 50), p99, stats.Percentile(r.Late, 100), r.Commit.Seconds()*1000, r.PerWaiter/1000, r.Grown/1000, r.Left/1000)
	all.p99 = append(all.p99, p99)
	all.kilobytes = append(all.kilobytes, r.PerWaiter/1000)
	all.held = max(all.held, r.Held)
	if store == storm.Broadcast {
		return nil
	}
	calls, err := s.countedStorm(ctx, store)
	all.calls = max(all.calls, calls)
	return err
}

func (a *storms) print(store string) {
	fmt.Printf("%-15s  %6.1f %6.1f %6.1f  %10d  %16d  %11.1f\n",
		store, stats.Median(a.p99), slices.Min(a.p99), slices.Max(a.p99), a.calls, a.held, stats.Median(a.kilobytes))
}

// countedStorm returns how many statements or commands one takes. It goes through
// a proxy, and is not timed.
func (s *stage) countedStorm(ctx context.Context, store string) (int64, error) {
	count, databaseURL, err := s.counter(store)
	if err != nil {
		return 0, err
	}
	defer count.close()
	if _, err := s.storm(ctx, store, databaseURL, count.reset); err != nil {
		return 0, err
	}
	return count.read(ctx)
}

// storm makes one, from start to end, and fails unless its request ran once and
// everybody has the answer. ready is called when all that has to be warm is.
func (s *stage) storm(ctx context.Context, store, databaseURL string, ready func(context.Context) error) (r storm.Result, err error) {
	self, err := os.Executable()
	if err != nil {
		return r, err
	}
	task := storm.Task{
		Store: store, Postgres: databaseURL, Redis: s.redis.Addr(), Key: payment.NewKey(),
		Duplicates: stormDuplicates / stormProcesses, Handler: stormHandler,
	}
	processes, err := storm.Open(func() *exec.Cmd { return exec.CommandContext(ctx, self) }, task, stormProcesses)
	if err != nil {
		return r, err
	}
	defer processes.Close()
	if err := ready(ctx); err != nil {
		return r, err
	}
	outcomes, err := processes.Break(time.Now().Add(100 * time.Millisecond))
	if err != nil {
		return r, err
	}
	r = storm.Sum(outcomes)
	return r, r.Check(stormDuplicates)
}
