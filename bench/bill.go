package main

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"

	"github.com/pgidem/pgidem/bench/internal/contend"
	"github.com/pgidem/pgidem/bench/internal/meter"
	"github.com/pgidem/pgidem/bench/internal/stats"
	"github.com/pgidem/pgidem/bench/internal/turns"
	"github.com/pgidem/pgidem/bench/internal/waldump"
)

// cost is everything that one contender's turn has cost.
type cost struct {
	result   turns.Result
	cpu      meter.CPU
	objects  uint64
	bytes    uint64
	acquired int64
	wal      waldump.Stats
	// tables is about so many requests as were reported in it.
	tables   meter.Tables
	reported int
	// traffic is about so many requests as were tapped.
	traffic meter.Traffic
	tapped  int
}

// bill is the costs of several contenders, a line an item.
type bill struct {
	workload contend.Workload
	clients  int
	rounds   int
	names    []string
	costs    map[string][]cost
}

func newBill(w contend.Workload, clients, rounds int) *bill {
	return &bill{workload: w, clients: clients, rounds: rounds, costs: make(map[string][]cost)}
}

func (b *bill) add(name string, c cost) {
	if !slices.Contains(b.names, name) {
		b.names = append(b.names, name)
	}
	b.costs[name] = append(b.costs[name], c)
}

// item is a line of the bill: what it is, and how much of it a request costs.
type item struct {
	name string
	of   func(cost) float64
}

func (c cost) each(total float64) float64 { return total / float64(c.result.Served) }

func (c cost) micros(d interface{ Seconds() float64 }) float64 { return c.each(d.Seconds() * 1e6) }

// wall is how long a client waits for an answer, on average.
func (c cost) wall(clients int) float64 { return c.micros(c.result.Elapsed) * float64(clients) }

var timeItems = []item{
	{"client: user µs", func(c cost) float64 { return c.micros(c.cpu.User) }},
	{"client: system µs", func(c cost) float64 { return c.micros(c.cpu.System) }},
	{"server: backends µs", func(c cost) float64 { return c.micros(c.cpu.Backends) }},
	{"server: background µs", func(c cost) float64 { return c.micros(c.cpu.Background) }},
}

var countedItems = []item{
	{"round trips", func(c cost) float64 { return float64(c.traffic.Trips) / float64(c.tapped) }},
	{"statements", func(c cost) float64 { return float64(c.traffic.Statements) / float64(c.tapped) }},
	{"statements parsed", func(c cost) float64 { return float64(c.traffic.Parses) / float64(c.tapped) }},
	{"bytes to the server", func(c cost) float64 { return float64(c.traffic.ToServer) / float64(c.tapped) }},
	{"bytes from the server", func(c cost) float64 { return float64(c.traffic.FromServer) / float64(c.tapped) }},
	{"connections acquired", func(c cost) float64 { return c.each(float64(c.acquired)) }},
	{"Go allocations", func(c cost) float64 { return c.each(float64(c.objects)) }},
	{"Go bytes allocated", func(c cost) float64 { return c.each(float64(c.bytes)) }},
	{"WAL syncs", func(c cost) float64 { return float64(c.tables.Syncs) / float64(c.reported) }},
	{"WAL records", func(c cost) float64 { return c.each(float64(c.wal.Records)) }},
	{"WAL bytes: tables", func(c cost) float64 { return c.each(float64(c.wal.Heap)) }},
	{"WAL bytes: indexes", func(c cost) float64 { return c.each(float64(c.wal.Btree)) }},
	{"WAL bytes: commits", func(c cost) float64 { return c.each(float64(c.wal.Commit)) }},
	{"WAL bytes: other", func(c cost) float64 { return c.each(float64(c.wal.Other)) }},
	{"WAL bytes: full-page images", func(c cost) float64 { return c.each(float64(c.wal.Images)) }},
	{"rows updated", func(c cost) float64 { return float64(c.tables.Updated) / float64(c.reported) }},
	{"rows updated heap-only", func(c cost) float64 { return float64(c.tables.HeapOnly) / float64(c.reported) }},
	{"rows deleted", func(c cost) float64 { return float64(c.tables.Deleted) / float64(c.reported) }},
}

// items are all lines. What of a client's wait is no processor's time is the
// disk's and the scheduler's; with several clients they wait for each other as
// well, so it is only told of one.
func (b *bill) items() []item {
	all := []item{{"a client waits µs", func(c cost) float64 { return c.wall(b.clients) }}}
	all = append(all, timeItems...)
	if b.clients == 1 {
		all = append(all, item{"disk and scheduling µs", func(c cost) float64 {
			rest := c.wall(1)
			for _, i := range timeItems[:3] { // the background works meanwhile
				rest -= i.of(c)
			}
			return rest
		}})
	}
	return append(all, countedItems...)
}

// print writes the medians of the rounds.
func (b *bill) print(w io.Writer) error {
	_, _ = fmt.Fprintf(w, "\neach %s request costs, with %d clients (median of %d rounds)\n", b.workload, b.clients, b.rounds)
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprint(t, "\t")
	for _, name := range b.names {
		_, _ = fmt.Fprintf(t, "%s\t", name)
	}
	_, _ = fmt.Fprintln(t)
	for _, i := range b.items() {
		_, _ = fmt.Fprintf(t, "%s\t", i.name)
		for _, name := range b.names {
			_, _ = fmt.Fprintf(t, "%.2f\t", b.median(name, i))
		}
		_, _ = fmt.Fprintln(t)
	}
	return t.Flush()
}

func (b *bill) median(name string, i item) float64 {
	var values []float64
	for _, c := range b.costs[name] {
		values = append(values, i.of(c))
	}
	return stats.Median(values)
}
