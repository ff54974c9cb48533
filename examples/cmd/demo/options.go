package main

import (
	"cmp"
	"flag"
	"fmt"
	"io"
	"time"
)

// options are what the command line says.
type options struct {
	keys       int
	duplicates int
	seed       uint64
	store      string
	sabotage   bool
}

func parseOptions(args []string, getenv func(string) string, out io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.IntVar(&o.keys, "keys", 400, "how many payments are made, each with a key of its own")
	flags.IntVar(&o.duplicates, "duplicates", 6, "how many clients race with each key")
	flags.Uint64Var(&o.seed, "seed", 0, "seed of all that is random about the clients; 0 takes one by the clock")
	flags.StringVar(&o.store, "store", cmp.Or(getenv("STORE"), storePostgres), "store of the servers: postgres or memory")
	flags.BoolVar(&o.sabotage, "sabotage", false,
		"copy one payment behind the servers' backs before the ledger is checked, to see the verdict fail")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if o.seed == 0 {
		o.seed = uint64(time.Now().UnixNano()) % 1_000_000
	}
	return o, o.validate(flags.Args())
}

const (
	storePostgres = "postgres"
	storeMemory   = "memory"
)

func (o options) validate(rest []string) error {
	switch {
	case len(rest) > 0:
		return fmt.Errorf("%q is not expected: there are only flags", rest)
	case o.keys < 1:
		return fmt.Errorf("-keys is %d: it must be at least 1", o.keys)
	case o.duplicates < 2:
		return fmt.Errorf("-duplicates is %d: it takes two to race", o.duplicates)
	case o.store != storePostgres && o.store != storeMemory:
		return fmt.Errorf("-store is %q: it must be %s or %s", o.store, storePostgres, storeMemory)
	}
	return nil
}
