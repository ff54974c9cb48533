package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"
)

// stormTime bounds the storm. A client that has no answer by then is a fault.
const stormTime = 50 * time.Second

const serverPackage = "github.com/pgidem/pgidem/examples/cmd/payments"

// run is the demo from the build to the verdict. It tells whether the store has
// kept its promise. Whatever it starts is gone when it returns.
func run(ctx context.Context, o options, s *screen) (holds bool, err error) {
	s.line("pgidem demo: store %s, %d keys, %d duplicates of each, seed %d", o.storeText(), o.keys, o.duplicates, o.seed)
	folder, err := os.MkdirTemp("", "pgidem-demo-")
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	binary, err := build(ctx, s, folder)
	if err != nil {
		return false, err
	}
	backing, err := openBacking(ctx, s, o)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, backing.close()) }()
	servers := newServers(binary, folder, append(backing.env(), "STORE="+o.store, "LEASE="+o.lease.String()))
	defer killAll(servers)
	if err := startAll(ctx, s, servers); err != nil {
		return false, err
	}
	storm := newStorm(plan(o), servers)
	went, err := blow(ctx, s, storm)
	if err == nil {
		err = stopAll(servers)
	}
	if err != nil || ctx.Err() != nil {
		return false, errors.Join(err, ctx.Err())
	}
	s.event("both servers ended on SIGTERM; reading the ledger")
	return audit(ctx, s, o, storm, backing.db.URL(), went)
}

func build(ctx context.Context, s *screen, folder string) (string, error) {
	s.event("building the payments server")
	binary := filepath.Join(folder, "payments")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", binary, serverPackage)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%s (run the demo in the examples folder): %w\n%s", cmd, err, out)
	}
	return binary, nil
}

func newServers(binary, folder string, env []string) []*server {
	env = append(env, "ADDR=127.0.0.1:0")
	var servers []*server
	for i := range serverCount {
		servers = append(servers, &server{name: string(rune('A' + i)), binary: binary, env: env, folder: folder})
	}
	return servers
}

// startAll starts the servers at the same moment: both migrate the database.
func startAll(ctx context.Context, s *screen, servers []*server) error {
	failures := make([]error, len(servers))
	var starting sync.WaitGroup
	for i, server := range servers {
		starting.Go(func() { failures[i] = server.start(ctx, i+1) })
	}
	starting.Wait()
	if err := errors.Join(failures...); err != nil {
		return err
	}
	for _, server := range servers {
		s.event("server %s listens on %s", server.name, server.target().url)
	}
	return nil
}

func killAll(servers []*server) {
	for _, server := range servers {
		server.kill()
	}
}

func stopAll(servers []*server) (err error) {
	for _, server := range servers {
		if stopErr := server.stop(); stopErr != nil {
			err = errors.Join(err, fmt.Errorf("server %s: %w", server.name, stopErr))
		}
	}
	return err
}

// course is how a storm went.
type course struct {
	lives   int // processes that have lived
	killed  int // the life that was killed in the storm; 0: none
	elapsed time.Duration
}

// blow lets the storm loose and a server crash in it.
func blow(ctx context.Context, s *screen, storm *storm) (went course, err error) {
	begun := time.Now()
	ctx, cancel := context.WithTimeout(ctx, stormTime)
	defer cancel()
	calm, stop := context.WithCancel(ctx)
	defer stop()
	var beside sync.WaitGroup
	went.lives = len(storm.servers)
	beside.Go(func() { watch(calm, s, storm) })
	beside.Go(func() { went.killed, err = crash(ctx, calm, s, storm, storm.servers[1], len(storm.servers)+1) })
	storm.blow(ctx)
	went.elapsed = time.Since(begun)
	stop()
	beside.Wait()
	if went.killed != 0 {
		went.lives++
	}
	return went, err
}

// watch says each second how far the storm is.
func watch(ctx context.Context, s *screen, storm *storm) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		t := storm.tally
		s.event("%4d of %d keys   %6s requests sent   %4d in flight   %5d given up or broken", t.finished.Load(),
			len(storm.plan), number(t.sent.Load()), t.inFlight.Load(), t.timedOut.Load()+t.hungUp.Load()+t.broken.Load())
	}
}

func audit(ctx context.Context, s *screen, o options, storm *storm, databaseURL string, went course) (bool, error) {
	if o.sabotage {
		s.event("%s", s.paint(red, "sabotage: one payment is copied in the ledger"))
		if err := sabotage(ctx, databaseURL); err != nil {
			return false, err
		}
	}
	l, err := readLedger(ctx, databaseURL)
	if err != nil {
		return false, err
	}
	v := judge(storm.plan, storm.answers, l, promiseOf(o, went))
	report(s, storm, l, v, went.elapsed)
	return conclude(s, v, o), nil
}
