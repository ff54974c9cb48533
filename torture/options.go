package main

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pgidem/pgidem/torture/broken"
	"github.com/pgidem/pgidem/torture/history"
	"github.com/pgidem/pgidem/torture/plan"
)

type options struct {
	seed     uint64
	duration time.Duration
	quiet    time.Duration
	mode     string
	faults   string
	pace     int
	broken   string // empty: no store is broken
	expected bool   // that the verdict is bad
	servers  int
	clients  int
	race     bool
	history  string
	recheck  string
}

var modes = []string{history.Transactional, history.Leased, history.Redis}

func readOptions() (options, error) {
	var o options
	flag.Uint64Var(&o.seed, "seed", 0, "draws operations and faults; 0: one from the clock")
	flag.DurationVar(&o.duration, "duration", time.Minute, "how long the faults go on")
	flag.DurationVar(&o.quiet, "quiet", 10*time.Minute, "how long every key is asked for in the end, at most")
	flag.StringVar(&o.faults, "faults", "", "the kinds of faults, with commas between them, or none; empty: all")
	flag.IntVar(&o.pace, "pace", 1, "how much faster than usual faults come and go")
	flag.StringVar(&o.mode, "mode", history.Transactional, "the store: transactional, leased or redis")
	flag.StringVar(&o.broken, "broken", "", "a deliberately broken store to use instead, or all in turn: "+strings.Join(broken.Names(), ", "))
	flag.BoolVar(&o.expected, "expect-broken", false, "fail if a run does not find that the promise is broken")
	flag.IntVar(&o.servers, "servers", 3, "server processes")
	flag.IntVar(&o.clients, "clients", 24, "operations at any moment, each with a client or several")
	flag.BoolVar(&o.race, "race", false, "build the servers with the race detector")
	flag.StringVar(&o.history, "history", "", "file to write the history to, as gzipped JSON lines")
	flag.StringVar(&o.recheck, "check", "", "file with a history to judge; nothing is run")
	flag.Parse()
	switch {
	case flag.NArg() > 0:
		return o, fmt.Errorf("unknown argument %q", flag.Arg(0))
	case !knowsFaults(o.faults):
		return o, fmt.Errorf("-faults is %q: the kinds are %v", o.faults, plan.Kinds(history.Redis))
	case !slices.Contains(modes, o.mode):
		return o, fmt.Errorf("-mode is %q: it must be one of %v", o.mode, modes)
	case o.servers < 1 || o.clients < 1 || o.pace < 1 || o.duration < time.Second:
		return o, fmt.Errorf("-servers, -clients and -pace must be 1 at least, -duration 1s")
	}
	if o.seed == 0 {
		o.seed = uint64(time.Now().UnixNano()) % 1_000_000_000 //nolint:gosec // short enough to be typed
	}
	return o, nil
}

// all stands for all broken stores, none for no kind of fault.
const (
	all  = "all"
	none = "none"
)

// schedule draws the faults of the run: those of a longer one, if its pace is
// to be faster.
func (o options) schedule() []plan.Fault {
	pace := time.Duration(o.pace)
	var faults []plan.Fault
	for _, f := range plan.Faults(o.seed, o.mode, o.servers, o.duration*pace) { //nolint:durationcheck // a factor
		if o.faults == "" || slices.Contains(strings.Split(o.faults, ","), string(f.Kind)) {
			f.At, f.Lasts = f.At/pace, f.Lasts/pace
			faults = append(faults, f)
		}
	}
	return faults
}

func knowsFaults(names string) bool {
	return names == "" || names == none || !slices.ContainsFunc(strings.Split(names, ","), func(name string) bool {
		return !slices.Contains(plan.Kinds(history.Redis), plan.Kind(name))
	})
}

// runs are the runs that the options ask for.
func (o options) runs() ([]options, error) {
	names := []string{o.broken}
	if o.broken == all {
		names = broken.Names()
	}
	var runs []options
	for _, name := range names {
		one := o
		if one.broken = name; name != "" {
			var err error
			if one.mode, err = broken.Mode(name); err != nil {
				return nil, err
			}
		}
		runs = append(runs, one)
	}
	return runs, nil
}

// buildFlags are how the servers are built.
func (o options) buildFlags() []string {
	if o.race {
		return []string{"-race"}
	}
	return nil
}

// command is how to draw the same plan again.
func (o options) command() string {
	text := fmt.Sprintf("go run . -seed %d -duration %v -mode %s -servers %d -clients %d", o.seed, o.duration, o.mode, o.servers, o.clients)
	if o.pace > 1 {
		text += fmt.Sprint(" -pace ", o.pace)
	}
	if o.faults != "" {
		text += " -faults " + o.faults
	}
	if o.broken != "" {
		text += " -broken " + o.broken
	}
	return text
}
