package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"text/tabwriter"

	"github.com/pgidem/pgidem/bench/internal/contend"
	"github.com/pgidem/pgidem/bench/internal/stats"
	"github.com/pgidem/pgidem/bench/internal/turns"
)

// recentShare is how many of a table's records are recent: one in so many.
const recentShare = 100

// duel is one kind of request, which a large table and a small one serve in turn.
type duel struct {
	name     string
	workload contend.Workload
	plays    func(*table) contend.Contender
	next     func(*table) contend.Request
}

// duels: retries come mostly within minutes, so there are those of the newest
// records beside those of any; and a plain SELECT of any, for what a large table
// costs whoever reads it.
var duels = []duel{
	{"fresh", contend.Fresh, (*table).theStore, (*table).fresh},
	{"replay of the newest in a hundred", contend.Replay, (*table).theStore, (*table).retryRecent},
	{"replay of any", contend.Replay, (*table).theStore, (*table).retryAny},
	{"plain SELECT of any", contend.Replay, (*table).theBare, (*table).retryAny},
}

func (t *table) theStore() contend.Contender { return t.store }
func (t *table) theBare() contend.Contender  { return t.bare }

func (t *table) fresh() contend.Request { return contend.Request{Key: t.keys.Kind.New()} }

func (t *table) retryAny() contend.Request {
	return contend.Request{Key: t.keys.At(rand.IntN(t.keys.Count)), Retry: true}
}

func (t *table) retryRecent() contend.Request {
	recent := max(t.keys.Count/recentShare, min(t.keys.Count, smallRows))
	return contend.Request{Key: t.keys.At(t.keys.Count - 1 - rand.IntN(recent)), Retry: true}
}

// run lets the two tables serve, and prints how much longer the large one takes.
func (d duel) run(ctx context.Context, o options, clients int, small, large *table) error {
	rates, waits := map[*table][]float64{}, map[*table][]float64{}
	for round := range o.rounds + 1 {
		for i := range 2 {
			t := []*table{small, large}[(i+round)%2]
			source := func() contend.Request { return d.next(t) }
			result, err := turns.TakeFrom(ctx, d.plays(t), source, turns.Load{Workload: d.workload, Clients: clients, For: o.slice})
			if err != nil {
				return err
			}
			if round > 0 { // the first was to warm up
				rates[t], waits[t] = append(rates[t], result.PerSecond), append(waits[t], result.P50)
			}
		}
	}
	ratio := stats.Summarize(stats.Quotients(rates[small], rates[large]))
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 3, ' ', 0)
	_, _ = fmt.Fprintf(out, "%s with %d clients\t%.0f/s, p50 %.2f ms small\t%.0f/s, p50 %.2f ms large\t%.2f times as slow (%.2f–%.2f)\n",
		d.name, clients, stats.Median(rates[small]), stats.Median(waits[small]), stats.Median(rates[large]), stats.Median(waits[large]),
		ratio.Median, ratio.Low, ratio.High)
	return out.Flush()
}
