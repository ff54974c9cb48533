package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgidem/pgidem/bench/internal/contend"
	"github.com/pgidem/pgidem/bench/internal/meter"
	"github.com/pgidem/pgidem/bench/internal/payment"
	"github.com/pgidem/pgidem/bench/internal/turns"
	"github.com/pgidem/pgidem/bench/internal/waldump"
	"github.com/pgidem/pgidem/internal/wiretap"
)

// budgetOf are the contenders of the budget, unless others are asked for.
var budgetOf = []string{"bare", "floor", "txstore", "leased"}

// auditor finds out what a request costs on its server.
type auditor struct {
	options
	stage    *stage
	admin    *pgx.Conn
	programs string // the folder of the server's programs
	data     string // the folder of its data
	known    []string
}

// runBudget prints what a request costs: each microsecond of processor time, each
// byte of the log, and what else can be counted.
func runBudget(ctx context.Context, o options) error {
	a, err := openAuditor(ctx, o)
	if err != nil {
		return err
	}
	defer a.stage.close()
	fmt.Println(a.stage.facts)
	for _, w := range []contend.Workload{contend.Fresh, contend.Replay} {
		for _, clients := range o.clients {
			if err := a.table(ctx, w, clients); err != nil {
				return err
			}
		}
	}
	return nil
}

func openAuditor(ctx context.Context, o options) (*auditor, error) {
	s, err := openStage(ctx, ownServer)
	if err != nil {
		return nil, err
	}
	a := &auditor{options: o, stage: s}
	for range knownKeys {
		a.known = append(a.known, payment.NewKey())
	}
	if len(a.stores) == 0 {
		a.stores = budgetOf
	}
	if err := a.prepare(ctx); err != nil {
		s.close()
		return nil, err
	}
	return a, nil
}

func (a *auditor) prepare(ctx context.Context) (err error) {
	if err := contend.Prepare(ctx, a.stage.url); err != nil {
		return err
	}
	if a.admin, err = pgx.Connect(ctx, a.stage.url); err != nil {
		return err
	}
	a.stage.onClose(func() { _ = a.admin.Close(context.WithoutCancel(ctx)) })
	program, err := os.Readlink("/proc/" + strconv.Itoa(a.stage.postgres.PID()) + "/exe")
	if err != nil {
		return fmt.Errorf("the budget needs a server on this machine, under Linux: %w", err)
	}
	a.programs = filepath.Dir(program)
	return a.admin.QueryRow(ctx, "SHOW data_directory").Scan(&a.data)
}

// table audits every contender in turn, for as many rounds as asked, and prints
// the medians.
func (a *auditor) table(ctx context.Context, w contend.Workload, clients int) error {
	b := newBill(w, clients, a.rounds)
	for range a.rounds {
		for _, name := range a.stores {
			cost, plays, err := a.audit(ctx, name, turns.Load{Workload: w, Clients: clients, For: a.slice, Known: a.known})
			if err != nil {
				return err
			}
			if plays {
				b.add(name, cost)
			}
		}
	}
	return b.print(os.Stdout)
}

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
