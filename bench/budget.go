package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/jackc/pgx/v5"

	"github.com/pgidem/pgidem/bench/internal/contend"
	"github.com/pgidem/pgidem/bench/internal/payment"
	"github.com/pgidem/pgidem/bench/internal/turns"
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
