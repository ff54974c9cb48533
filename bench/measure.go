package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"text/tabwriter"
	"time"
)

// plan says what is measured.
type plan struct {
	clients []int
	rounds  int
	turn    time.Duration
}

// cell holds one contender's rates with one number of clients, a value a round.
type cell struct {
	perSecond []float64
	toBare    []float64
}

type results struct {
	plan  plan
	names []string
	cells map[string]map[int]*cell
}

func (p plan) measure(ctx context.Context, g *ground) (*results, error) {
	contenders, done, err := g.contenders()
	if err != nil {
		return nil, err
	}
	defer done()
	r := &results{plan: p, cells: make(map[string]map[int]*cell)}
	for _, c := range contenders {
		r.names = append(r.names, c.name)
		r.cells[c.name] = make(map[int]*cell)
		for _, n := range p.clients {
			r.cells[c.name][n] = &cell{}
		}
		// Warm: connections open, statements prepared.
		if _, err := rate(ctx, c, p.clients[len(p.clients)-1], p.turn/2); err != nil {
			return nil, err
		}
	}
	for round := range p.rounds {
		for _, n := range p.clients {
			fmt.Printf("round %d of %d, %d clients\n", round+1, p.rounds, n)
			if err := r.round(ctx, g, contenders, round, n, p.turn); err != nil {
				return nil, err
			}
		}
	}
	return r, nil
}

// round gives every contender a turn; each round begins with another one.
func (r *results) round(ctx context.Context, g *ground, contenders []contender, round, clients int, turn time.Duration) error {
	rates := make(map[string]float64)
	for i := range contenders {
		c := contenders[(i+round)%len(contenders)]
		if err := g.clear(ctx); err != nil {
			return err
		}
		perSecond, err := rate(ctx, c, clients, turn)
		if err != nil {
			return err
		}
		rates[c.name] = perSecond
	}
	for name, perSecond := range rates {
		c := r.cells[name][clients]
		c.perSecond = append(c.perSecond, perSecond)
		c.toBare = append(c.toBare, perSecond/rates[bare])
	}
	return nil
}

// rate returns how many payments a second the clients make together.
func rate(ctx context.Context, c contender, clients int, turn time.Duration) (float64, error) {
	var (
		paid   atomic.Int64
		failed atomic.Pointer[error]
		wg     sync.WaitGroup
	)
	start := time.Now()
	for range clients {
		wg.Go(func() {
			for time.Since(start) < turn && failed.Load() == nil {
				if err := c.pay(ctx); err != nil {
					failed.CompareAndSwap(nil, &err)
					return
				}
				paid.Add(1)
			}
		})
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		return 0, fmt.Errorf("%s: %w", c.name, *err)
	}
	return float64(paid.Load()) / time.Since(start).Seconds(), nil
}

// print writes the medians as a table.
func (r *results) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintf(t, "\nmedian of %d rounds\t", r.plan.rounds)
	for _, n := range r.plan.clients {
		_, _ = fmt.Fprintf(t, "%d clients: 1/s\tto bare\tto floor\t", n)
	}
	_, _ = fmt.Fprintln(t)
	for _, name := range r.names {
		_, _ = fmt.Fprintf(t, "%s\t", name)
		for _, n := range r.plan.clients {
			c, f := r.cells[name][n], r.cells[floor][n]
			_, _ = fmt.Fprintf(t, "%.0f\t%.2f\t%.2f\t", median(c.perSecond), median(c.toBare), median(quotients(c.perSecond, f.perSecond)))
		}
		_, _ = fmt.Fprintln(t)
	}
	return t.Flush()
}

func quotients(a, b []float64) []float64 {
	q := make([]float64, len(a))
	for i := range a {
		q[i] = a[i] / b[i]
	}
	return q
}

func median(values []float64) float64 {
	v := slices.Sorted(slices.Values(values))
	if len(v)%2 == 1 {
		return v[len(v)/2]
	}
	return (v[len(v)/2-1] + v[len(v)/2]) / 2
}
