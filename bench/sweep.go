package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pgidem/pgidem/bench/internal/contend"
	"github.com/pgidem/pgidem/bench/internal/filling"
	"github.com/pgidem/pgidem/bench/internal/stats"
	"github.com/pgidem/pgidem/bench/internal/turns"
	"github.com/pgidem/pgidem/txstore"
)

const (
	// sweepRows is how many expired records there are to sweep, every round.
	sweepRows    = 1_000_000
	sweepClients = 16
	// sweepTTL lets records that were made within the last day be expired.
	sweepTTL = time.Nanosecond
)

// aloneFor is how long traffic goes on without the sweep: long enough to have
// some hundred answers above its p99.
const aloneFor = 5 * time.Second

// runSweep says what sweeping a million expired records costs the live traffic
// beside it. In each round traffic goes on beside the expired records first, and
// then while they are swept.
func runSweep(ctx context.Context, o options) error {
	s, err := openStage(ctx, ownServer)
	if err != nil {
		return err
	}
	defer s.close()
	t, err := s.table(ctx, o, "swept", filling.Keys{Kind: filling.V4, Count: smallRows, End: time.Now(), Seed: 1})
	if err != nil {
		return err
	}
	fmt.Println(s.facts)
	var alone, beside []turns.Result
	for round := range o.rounds {
		a, b, err := sweepRound(ctx, o, t, round)
		if err != nil {
			return err
		}
		alone, beside = append(alone, a), append(beside, b)
	}
	printSweep("p50", alone, beside, func(r turns.Result) float64 { return r.P50 })
	printSweep("p99", alone, beside, func(r turns.Result) float64 { return r.P99 })
	return nil
}

func printSweep(name string, alone, beside []turns.Result, of func(turns.Result) float64) {
	var without, with []float64
	for i := range alone {
		without, with = append(without, of(alone[i])), append(with, of(beside[i]))
	}
	ratio := stats.Summarize(stats.Quotients(with, without))
	fmt.Printf("%s of fresh requests: %.2f ms without the sweep, %.2f ms beside it: %.2f times as long (%.2f–%.2f)\n",
		name, stats.Median(without), stats.Median(with), ratio.Median, ratio.Low, ratio.High)
}

// sweepRound puts expired records into the table and sweeps them under live
// traffic, from the first to the last.
func sweepRound(ctx context.Context, o options, t *table, round int) (alone, with turns.Result, err error) {
	expired := filling.Keys{Kind: filling.V4, Count: min(o.rows, sweepRows), End: time.Now(), Seed: uint64(round) + 100} //nolint:gosec // a small number
	if err := filling.Fill(ctx, t.pool, expired, sweepTTL, func(int) {}); err != nil {
		return alone, with, err
	}
	if _, err := t.pool.Exec(ctx, "CHECKPOINT"); err != nil {
		return alone, with, err
	}
	if _, err := live(ctx, t, o.slice, nil); err != nil { // warm
		return alone, with, err
	}
	if alone, err = live(ctx, t, aloneFor, nil); err != nil {
		return alone, with, err
	}
	times := &longest{}
	pool, err := tracedPool(ctx, t.pool.Config(), times)
	if err != nil {
		return alone, with, err
	}
	defer pool.Close()
	sweeper, err := txstore.New(pool, txstore.Config{})
	if err != nil {
		return alone, with, err
	}
	defer sweeper.Close()
	done, with, err := besideSweep(ctx, t, sweeper)
	if err == nil && done.removed < int64(expired.Count) {
		err = fmt.Errorf("swept %d records of %d", done.removed, expired.Count)
	}
	fmt.Printf("round %d: swept %d records in %.1f s, longest statement %.0f ms\n",
		round+1, done.removed, done.took.Seconds(), times.get().Seconds()*1000)
	return alone, with, err
}

// swept is what came of a sweep.
type swept struct {
	removed int64
	took    time.Duration
	err     error
}

// besideSweep lets live traffic go on until the sweep has ended.
func besideSweep(ctx context.Context, t *table, sweeper *txstore.Store) (done swept, r turns.Result, err error) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		began := time.Now()
		done.removed, done.err = sweeper.Sweep(ctx)
		done.took = time.Since(began)
	}()
	r, err = live(ctx, t, time.Hour, ended)
	<-ended
	return done, r, errors.Join(done.err, err)
}

// live is the traffic, for so long or until the channel is closed.
func live(ctx context.Context, t *table, d time.Duration, until <-chan struct{}) (turns.Result, error) {
	load := turns.Load{Workload: contend.Fresh, Clients: sweepClients, For: d, Until: until}
	return turns.TakeFrom(ctx, t.store, t.fresh, load)
}
