// Command torture tries to break pgidem's promise.
//
// Several server processes take payments behind the middleware, on a real
// PostgreSQL server with its default durability. Clients send each payment until
// they have an answer: again after a time-out, from several sides at once, to
// whichever server. The records of some payments live for seconds only, and their
// clients come back before, about and after that; some clients misuse a key for
// another payment. Meanwhile processes are killed and frozen, sessions
// terminated, servers restarted, connections cut, silenced, delayed and slowed
// down, disks fill up, tables are locked and clocks jump. Every request and
// answer is recorded. In the end all is made well, every key is asked for once
// more, and the record is judged against the ledger: see package check.
//
// A fault that meets nobody, as a cut where there is no connection, is tried again
// for a while and then counted as such; a run in which a kind of fault has met
// nobody at all is a failed one.
//
// The same seed draws the same operations and the same schedule of faults. It
// does not bring back a run: which of two goroutines, processes or packets is
// first is up to the machine. What is wrong is therefore printed in full, and
// -history keeps the whole record for -check.
//
// It needs Linux, the go command, and PostgreSQL; see package pgserver for where
// that comes from. The disk fills up only where it may mount a file system, as
// root may.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/pgidem/pgidem/torture/server"
	"github.com/pgidem/pgidem/torture/site"
)

func main() {
	err := start()
	if err != nil && !errors.Is(err, site.ErrSaid) {
		fmt.Fprintln(os.Stderr, "torture:", err)
	}
	if err != nil {
		os.Exit(1)
	}
}

func start() error {
	if os.Getenv(server.Variable) != "" {
		return server.Main()
	}
	o, err := readOptions()
	if err != nil {
		return err
	}
	if o.recheck != "" {
		return recheck(o.recheck)
	}
	// The seed is drawn already.
	if apart, err := site.RunApart(fmt.Sprint("-seed=", o.seed)); apart {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return tortureAll(ctx, o)
}

func tortureAll(ctx context.Context, o options) error {
	runs, err := o.runs()
	if err != nil {
		return err
	}
	for _, one := range runs {
		err := torture(ctx, one)
		switch {
		case !o.expected && err != nil:
			return err
		case !o.expected:
		case err == nil:
			return fmt.Errorf("%s: nothing wrong was found", one.broken)
		case !errors.Is(err, errBroken):
			return err
		default:
			fmt.Printf("found out: %s\n\n", one.broken)
		}
	}
	return nil
}
