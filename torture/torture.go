package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/pgidem/pgidem/internal/localproc"
	"github.com/pgidem/pgidem/torture/crowd"
	"github.com/pgidem/pgidem/torture/history"
	"github.com/pgidem/pgidem/torture/inject"
	"github.com/pgidem/pgidem/torture/ledger"
	"github.com/pgidem/pgidem/torture/plan"
	"github.com/pgidem/pgidem/torture/server"
	"github.com/pgidem/pgidem/torture/site"
	"github.com/pgidem/pgidem/torture/wallclock"
)

// torture is the program from the build of the servers to the verdict. Its error
// says that the run could not be done or that the verdict is bad.
func torture(ctx context.Context, o options) (err error) {
	fmt.Printf("seed %d   %s\n", o.seed, o.command())
	defer fmt.Printf("seed %d   %s\n", o.seed, o.command())
	folder, err := localproc.NewFolder("pgidem-torture-build-", true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, folder.Remove()) }()
	binary, err := serverBinary(ctx, folder.Path(), o)
	if err != nil {
		return err
	}
	ground, err := site.Open(ctx, site.Config{Mode: o.mode, Broken: o.broken, Servers: o.servers, Binary: binary})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ground.Close()) }()
	r := newRun(o, ground)
	if err := r.happen(ctx); err != nil {
		return err
	}
	return r.judge()
}

// serverBinary builds what the servers are processes of, unless this process is
// one of such a build already.
func serverBinary(ctx context.Context, folder string, o options) (string, error) {
	if server.ClockIsSettable {
		return os.Executable()
	}
	return wallclock.Build(ctx, folder, o.buildFlags()...)
}

// run is one run on a site that is set up.
type run struct {
	options  options
	site     *site.Site
	recorder *history.Recorder
	crowd    *crowd.Crowd
	torment  *torment

	result   history.Run
	unusable crowd.Unusable // in the quiet end
	stacks   []string       // of what the servers left
	unwell   error          // of servers that did not end in good order
}

func newRun(o options, s *site.Site) *run {
	recorder := history.NewRecorder()
	return &run{
		options: o, site: s, recorder: recorder,
		torment: &torment{now: recorder.Now, begin: func(ctx context.Context, f plan.Fault) (inject.End, error) {
			return inject.Begin(ctx, s, f)
		}},
		crowd: crowd.New(crowd.Config{
			Seed: o.seed, Servers: o.servers, Parallel: o.clients, Recorder: recorder,
			URL: func(number int) string { return s.Server(number).URL() },
		}),
	}
}

func (r *run) happen(ctx context.Context) error {
	clock, err := r.site.ClockAtStart(ctx, r.recorder.Now)
	if err != nil {
		return err
	}
	if err := r.storm(ctx); err != nil {
		return err
	}
	quiet := r.recorder.Now()
	fmt.Printf("%6.1fs  all is well again; every key is asked for once more\n", quiet.Seconds())
	asking, enough := context.WithTimeout(ctx, r.options.quiet)
	defer enough()
	r.unusable = r.crowd.AskAll(asking)
	r.crowd.Close()
	expired, err := r.site.Expired(ctx, settle)
	if err != nil {
		return err
	}
	r.result = history.Run{
		Seed: r.options.seed, Mode: r.options.mode, Requests: r.recorder.Requests(), Opening: ledger.Opening,
		Faults: r.torment.injected(), Quiet: quiet, Ended: r.recorder.Now(), Clock: clock,
		Leftovers: history.Leftovers{Expired: expired},
	}
	r.stopServers()
	return r.readDatabase(ctx)
}

// storm lets clients and faults loose on the servers, and returns when both have
// ended and what the faults have done is undone.
func (r *run) storm(ctx context.Context) error {
	o := r.options
	raging, calm := context.WithCancel(ctx)
	defer calm()
	var clients sync.WaitGroup
	clients.Go(func() { r.crowd.Storm(raging) })
	clients.Go(func() { r.watch(raging) })
	err := r.torment.inflict(ctx, o.schedule())
	if left := o.duration - r.recorder.Now(); err == nil && left > 0 {
		select {
		case <-time.After(left):
		case <-ctx.Done():
		}
	}
	calm()
	clients.Wait()
	return errors.Join(err, ctx.Err())
}

// watchEvery is how often one hears from a run.
const watchEvery = 10 * time.Second

func (r *run) watch(ctx context.Context) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			fmt.Printf("%6.1fs  %d requests for %d keys, %d faults\n", r.recorder.Now().Seconds(),
				r.crowd.Sent.Load(), len(r.crowd.Begun()), len(r.torment.injected()))
		case <-ctx.Done():
			return
		}
	}
}

// stopServers ends all servers in good order and hears what is left of them.
func (r *run) stopServers() {
	var mu sync.Mutex
	var stopping sync.WaitGroup
	for _, s := range r.site.Servers {
		stopping.Go(func() {
			last, err := s.Stop()
			mu.Lock()
			defer mu.Unlock()
			r.unwell = errors.Join(r.unwell, err)
			r.result.Leftovers.Goroutines += last.Goroutines
			if last.Goroutines > 0 {
				r.stacks = append(r.stacks, last.Stacks)
			}
		})
	}
	stopping.Wait()
}

// settle is what a busy machine needs to take note of what has been closed.
const settle = 10 * time.Second

func (r *run) readDatabase(ctx context.Context) error {
	left, err := r.site.Leftovers(ctx, settle)
	if err != nil {
		return err
	}
	clock, err := r.site.ClockAtStart(ctx, r.recorder.Now)
	if err != nil {
		return err
	}
	r.result.Drift = time.Duration(clock-r.result.Clock) * time.Microsecond
	left.Goroutines, left.Expired = r.result.Leftovers.Goroutines, r.result.Leftovers.Expired
	r.result.Leftovers = left
	conn, err := r.site.Connect(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	if r.result.Rows, err = ledger.Rows(ctx, conn); err != nil {
		return err
	}
	r.result.Balances, err = ledger.Balances(ctx, conn)
	return err
}
