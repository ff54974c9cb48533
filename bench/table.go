package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"time"

	"github.com/pgidem/pgidem/bench/internal/contend"
	"github.com/pgidem/pgidem/bench/internal/report"
	"github.com/pgidem/pgidem/bench/internal/turns"
)

// runTable measures every contender in every situation, in rounds, and says how
// they compare.
func runTable(ctx context.Context, o options) error {
	s, err := openStage(ctx, anyServer)
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.openRedis(ctx); err != nil {
		return err
	}
	f, err := s.field(ctx, o)
	if err != nil {
		return err
	}
	rounds, err := f.play(ctx, o)
	if err != nil {
		return err
	}
	r := &report.Report{
		Format: report.Format, Taken: time.Now().UTC(), Machine: s.facts, Rounds: o.rounds,
		SliceMS: o.slice.Seconds() * 1000, Conns: o.conns, Known: knownKeys,
		Cells: rounds.Cells(f.distances[0].families), // the nearest has them all
	}
	return o.publish(r)
}

func (f *field) play(ctx context.Context, o options) (*report.Rounds, error) {
	if err := f.reset(ctx); err != nil {
		return nil, err
	}
	if err := f.warm(ctx, o); err != nil {
		return nil, err
	}
	rounds := report.NewRounds()
	for i := range o.rounds {
		began := time.Now()
		if err := f.round(ctx, o, rounds); err != nil {
			return nil, err
		}
		fmt.Fprintf(os.Stderr, "round %d of %d took %.0f s\n", i+1, o.rounds, time.Since(began).Seconds())
	}
	return rounds, nil
}

// warm opens every connection and prepares every statement.
func (f *field) warm(ctx context.Context, o options) error {
	for _, d := range f.distances {
		for _, w := range o.workloads {
			for _, c := range d.shuffled(w) {
				load := turns.Load{Workload: w, Clients: slices.Max(o.clients), For: o.slice, Known: f.known}
				if _, err := turns.Take(ctx, c, load); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// round gives every contender one turn in every situation. Those who are
// compared with each other have theirs one right after the other.
func (f *field) round(ctx context.Context, o options, rounds *report.Rounds) error {
	if err := f.reset(ctx); err != nil {
		return err
	}
	for _, w := range o.workloads {
		for _, d := range f.distances {
			for _, clients := range o.clients {
				if w == contend.Storm && clients == 1 {
					continue // nobody to make duplicates
				}
				load := turns.Load{Workload: w, Clients: clients, For: o.slice, Known: f.known}
				if err := d.turns(ctx, load, rounds); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (d distance) turns(ctx context.Context, load turns.Load, rounds *report.Rounds) error {
	place := report.Place{Workload: load.Workload, Clients: load.Clients, RTTMS: d.rtt.Seconds() * 1000}
	for _, c := range d.shuffled(load.Workload) {
		runtime.GC() // nobody pays for what the one before has left
		result, err := turns.Take(ctx, c, load)
		if err != nil {
			return err
		}
		rounds.Add(place, c.Name(), result)
	}
	return nil
}

// publish prints the report, and writes and compares it as asked.
func (o options) publish(r *report.Report) error {
	r.Print(os.Stdout)
	if o.json != "" {
		if err := r.Write(o.json); err != nil {
			return err
		}
	}
	if o.svg != "" {
		if err := draw(o.svg, r, o.charted()); err != nil {
			return err
		}
	}
	if o.baseline == "" {
		return nil
	}
	before, err := report.Read(o.baseline)
	if err != nil {
		return err
	}
	report.PrintChanges(os.Stdout, report.Compare(before, r))
	return nil
}

// charted is the number of clients that the chart is about: 16 if they are
// there.
func (o options) charted() int {
	if slices.Contains(o.clients, 16) {
		return 16
	}
	return o.clients[0]
}

func draw(name string, r *report.Report, clients int) error {
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	if err := r.Chart(clients).Write(file); err != nil {
		_ = file.Close()
		return err
	}
	return file.Close()
}
