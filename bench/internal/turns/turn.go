// Package turns lets contenders take turns under load.
package turns

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pgidem/pgidem/bench/internal/contend"
	"github.com/pgidem/pgidem/bench/internal/stats"
)

// Load is what a contender is put under during one turn.
type Load struct {
	Workload contend.Workload
	Clients  int
	For      time.Duration
	// Until ends the turn earlier when it is closed; nil never is.
	Until <-chan struct{}
	// Known are the keys that were served before.
	Known []string
}

// Result is what a turn has shown.
type Result struct {
	// PerSecond is how many requests were answered each second.
	PerSecond float64
	// Served and Paid count answers, and those that a payment was made for.
	Served, Paid int
	Elapsed      time.Duration
	// P50 and P99 are how long answers took, in milliseconds.
	P50, P99 float64
}

// client is one of those who send requests, each after the answer to the last.
type client struct {
	took []float64 // milliseconds
	paid int
	err  error
}

// Take puts c under load, and checks that it did what the workload demands.
func Take(ctx context.Context, c contend.Contender, load Load) (Result, error) {
	storm := contend.NewStormKeys()
	r, err := take(ctx, c, func() func() contend.Request { return load.Workload.Source(load.Known, storm) }, load)
	if err == nil && load.Workload == contend.Storm && int64(r.Paid) > storm.Begun.Load() {
		err = fmt.Errorf("%s paid %d times for %d keys", c.Name(), r.Paid, storm.Begun.Load())
	}
	return r, err
}

// TakeFrom is Take with requests from source, which all clients call, instead of
// the workload's own.
func TakeFrom(ctx context.Context, c contend.Contender, source func() contend.Request, load Load) (Result, error) {
	return take(ctx, c, func() func() contend.Request { return source }, load)
}

// take gives each client a source of its own.
func take(ctx context.Context, c contend.Contender, source func() func() contend.Request, load Load) (Result, error) {
	clients := make([]client, load.Clients)
	ctx, fail := context.WithCancel(ctx)
	defer fail()
	var all sync.WaitGroup
	began := time.Now()
	for i := range clients {
		next := source()
		all.Go(func() {
			if clients[i].send(ctx, c, next, began, load); clients[i].err != nil {
				fail()
			}
		})
	}
	all.Wait()
	r, err := sum(clients, time.Since(began))
	if err == nil {
		err = verify(r, load)
	}
	if err != nil {
		return r, fmt.Errorf("%s, %s, %d clients: %w", c.Name(), load.Workload, load.Clients, err)
	}
	return r, nil
}

// send sends until the turn is over, and once at least: of a turn in which a
// busy machine let nobody through there would be nothing to compare.
func (cl *client) send(ctx context.Context, c contend.Contender, next func() contend.Request, began time.Time, load Load) {
	for sent := time.Now(); ctx.Err() == nil && (len(cl.took) == 0 || sent.Sub(began) < load.For && !load.ended()); {
		paid, err := c.Serve(ctx, next())
		if err != nil {
			cl.err = err
			return
		}
		if paid {
			cl.paid++
		}
		answered := time.Now()
		cl.took = append(cl.took, answered.Sub(sent).Seconds()*1000)
		sent = answered
	}
}

func (l Load) ended() bool {
	select {
	case <-l.Until:
		return true
	default:
		return false
	}
}

func sum(clients []client, elapsed time.Duration) (r Result, err error) {
	var took []float64
	for _, cl := range clients {
		if cl.err != nil && (err == nil || errors.Is(err, context.Canceled)) {
			err = cl.err // not the echo of stopping, if there is another
		}
		took = append(took, cl.took...)
		r.Paid += cl.paid
	}
	r.Served, r.Elapsed = len(took), elapsed
	r.PerSecond = float64(r.Served) / elapsed.Seconds()
	r.P50, r.P99 = stats.Percentile(took, 50), stats.Percentile(took, 99)
	return r, err
}

// fewRequests may by chance be retries, all of them.
const fewRequests = 10

// verify fails a contender that was fast because it did something else.
func verify(r Result, load Load) error {
	ok := true
	switch load.Workload {
	case contend.Fresh:
		ok = r.Paid == r.Served
	case contend.Replay, contend.Hot:
		ok = r.Paid == 0
	case contend.Storm:
		ok = r.Paid > 0
	case contend.Mixed:
		ok = r.Paid > 0 || r.Served < fewRequests
	}
	if !ok {
		return fmt.Errorf("paid for %d of %d requests, which is not the workload", r.Paid, r.Served)
	}
	return nil
}
