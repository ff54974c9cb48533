package main

import (
	"context"
	"net/url"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgidem/pgidem/bench/internal/contend"
	"github.com/pgidem/pgidem/bench/internal/meter"
	"github.com/pgidem/pgidem/bench/internal/turns"
	"github.com/pgidem/pgidem/bench/internal/waldump"
	"github.com/pgidem/pgidem/internal/wiretap"
)

// audit puts a contender under load and reads every meter before and after.
func (a *auditor) audit(ctx context.Context, name string, load turns.Load) (c cost, plays bool, err error) {
	if c.tables, plays, err = a.reset(ctx, name, load.Workload); err != nil || !plays {
		return c, plays, err
	}
	pool, err := contend.Pool(ctx, a.stage.url, load.Clients)
	if err != nil {
		return c, true, err
	}
	family, err := contend.Postgres(pool)
	if err != nil {
		pool.Close()
		return c, true, err
	}
	contender := find(family, name)
	warm, err := turns.Take(ctx, contender, load)
	if err == nil {
		err = a.measure(ctx, pool, contender, load, &c)
	}
	family.Close()
	pool.Close()
	if err != nil {
		return c, true, err
	}
	c.reported = warm.Served + c.result.Served
	if err := a.readTables(ctx, &c); err != nil {
		return c, true, err
	}
	c.traffic, c.tapped, err = a.tap(ctx, name, load)
	return c, true, err
}

// reset starts over, and returns what the server's statistics say then.
func (a *auditor) reset(ctx context.Context, name string, w contend.Workload) (t meter.Tables, plays bool, err error) {
	pool, err := contend.Pool(ctx, a.stage.url, 1)
	if err != nil {
		return t, false, err
	}
	family, err := contend.Postgres(pool)
	if err != nil {
		pool.Close()
		return t, false, err
	}
	contender := find(family, name)
	if plays = contender != nil && contender.Plays(w); plays {
		err = family.Reset(ctx, a.known)
	}
	family.Close()
	pool.Close()
	if err != nil || !plays {
		return t, plays, err
	}
	if err := meter.AwaitAlone(ctx, a.admin); err != nil {
		return t, true, err
	}
	t, err = meter.ReadTables(ctx, a.admin)
	return t, true, err
}

func find(family *contend.Family, name string) contend.Contender {
	i := slices.IndexFunc(family.Contenders, func(c contend.Contender) bool { return c.Name() == name })
	if i < 0 {
		return nil
	}
	return family.Contenders[i]
}

// measure takes the turn that everything is read around.
func (a *auditor) measure(ctx context.Context, pool *pgxpool.Pool, contender contend.Contender, load turns.Load, c *cost) error {
	if err := meter.FlushLog(ctx, a.admin); err != nil {
		return err
	}
	from, err := meter.Position(ctx, a.admin)
	if err != nil {
		return err
	}
	began, err := meter.ReadCPU(a.stage.postgres.PID())
	if err != nil {
		return err
	}
	acquired, heap := pool.Stat().AcquireCount(), meter.ReadHeap()
	if c.result, err = turns.Take(ctx, contender, load); err != nil {
		return err
	}
	after := meter.ReadHeap()
	ended, err := meter.ReadCPU(a.stage.postgres.PID())
	if err != nil {
		return err
	}
	c.cpu, c.objects, c.bytes = ended.Sub(began), after.Objects-heap.Objects, after.Bytes-heap.Bytes
	c.acquired = pool.Stat().AcquireCount() - acquired
	to, err := meter.Position(ctx, a.admin)
	if err != nil {
		return err
	}
	if err := meter.FlushLog(ctx, a.admin); err != nil {
		return err
	}
	c.wal, err = waldump.Run(ctx, a.programs, a.data, from, to)
	return err
}

func (a *auditor) readTables(ctx context.Context, c *cost) error {
	if err := meter.AwaitAlone(ctx, a.admin); err != nil {
		return err
	}
	t, err := meter.ReadTables(ctx, a.admin)
	c.tables = t.Sub(c.tables)
	return err
}

// tap counts what one client's requests send over the wire, apart from the rest:
// a wiretap takes time of its own.
func (a *auditor) tap(ctx context.Context, name string, load turns.Load) (t meter.Traffic, served int, err error) {
	u, err := url.Parse(a.stage.url)
	if err != nil {
		return t, 0, err
	}
	proxy, err := wiretap.Open(u.Host)
	if err != nil {
		return t, 0, err
	}
	defer proxy.Close()
	u.Host = proxy.Addr()
	pool, err := contend.Pool(ctx, u.String(), 1)
	if err != nil {
		return t, 0, err
	}
	defer pool.Close()
	family, err := contend.Postgres(pool)
	if err != nil {
		return t, 0, err
	}
	defer family.Close()
	load.Clients, load.For = 1, max(load.For/4, 20*time.Millisecond)
	if _, err := turns.Take(ctx, find(family, name), load); err != nil {
		return t, 0, err
	}
	wire := meter.Tap(proxy)
	before := wire.Read()
	result, err := turns.Take(ctx, find(family, name), load)
	return wire.Read().Sub(before), result.Served, err
}
