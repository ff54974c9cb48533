package main

import (
	"cmp"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// options are what the command line says.
type options struct {
	keys       int
	duplicates int
	seed       uint64
	store      string
	lease      time.Duration
	sabotage   bool
}

func parseOptions(args []string, getenv func(string) string, out io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.IntVar(&o.keys, "keys", 400, "how many payments are made, each with a key of its own")
	flags.IntVar(&o.duplicates, "duplicates", 6, "how many clients race with each key")
	flags.Uint64Var(&o.seed, "seed", 0, "seed of all that is random about the clients; 0 takes one by the clock")
	flags.StringVar(&o.store, "store", cmp.Or(getenv("STORE"), storePostgres), "store of the servers: "+strings.Join(storeNames, ", "))
	flags.DurationVar(&o.lease, "lease", 2*time.Second, "how long the stores leased and redis keep the key of a killed process")
	flags.BoolVar(&o.sabotage, "sabotage", false,
		"copy one payment behind the servers' backs before the ledger is checked, to see the verdict fail")
	if lease := getenv("LEASE"); lease != "" {
		if err := flags.Set("lease", lease); err != nil {
			return o, fmt.Errorf("LEASE is %q: %w", lease, err)
		}
	}
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
	storeLeased   = "leased"
	storeRedis    = "redis"
	storeMemory   = "memory"
)

var storeNames = []string{storePostgres, storeLeased, storeRedis, storeMemory}

// Bounds of the lease. It is renewed at each third of it, so that at least two
// thirds are left at any moment: the lower bound makes them longer than any
// handler is held. A client that meets the key of a killed process waits for the
// lease's end, within its patience.
const (
	minLease = time.Second
	maxLease = 10 * time.Second
)

func (o options) validate(rest []string) error {
	switch {
	case len(rest) > 0:
		return fmt.Errorf("%q is not expected: there are only flags", rest)
	case o.keys < 1:
		return fmt.Errorf("-keys is %d: it must be at least 1", o.keys)
	case o.duplicates < 2:
		return fmt.Errorf("-duplicates is %d: it takes two to race", o.duplicates)
	case !slices.Contains(storeNames, o.store):
		return fmt.Errorf("-store is %q: it must be one of %s", o.store, strings.Join(storeNames, ", "))
	case o.lease < minLease || o.lease > maxLease:
		return fmt.Errorf("-lease is %v: it must be from %v to %v", o.lease, minLease, maxLease)
	}
	return nil
}

// leased tells whether the store makes reservations that end with time, and
// commits the record apart from the payment.
func (o options) leased() bool { return o.store == storeLeased || o.store == storeRedis }

// storeText names the store, and the lease where there is one.
func (o options) storeText() string {
	if o.leased() {
		return fmt.Sprintf("%s with a lease of %v", o.store, o.lease)
	}
	return o.store
}
