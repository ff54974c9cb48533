package main

import (
	"errors"
	"flag"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pgidem/pgidem/bench/internal/contend"
)

// options are what the command line says.
type options struct {
	mode      string
	workloads []contend.Workload
	stores    []string // empty: all
	clients   []int
	rtts      []time.Duration
	rounds    int
	slice     time.Duration
	conns     int
	json      string
	svg       string
	baseline  string
	rows      int
	keys      string
	buffers   string
}

// modes are what can be measured, besides the table.
var modes = []struct{ name, usage string }{
	{"budget", "measure what one request costs, microsecond by microsecond and byte by byte, instead"},
	{"storm", "measure 1000 duplicates over four processes instead"},
	{"scale", "measure beside millions of records instead"},
	{"sweep", "measure what sweeping a million expired records costs live traffic instead"},
	{"ping", "measure how accurate the delay line is instead"},
}

func parse(arguments []string) (options, error) {
	o := options{}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	workloads := flags.String("workloads", "fresh,replay,hot,storm,mixed", "workloads, separated by commas")
	stores := flags.String("stores", "", "contenders, separated by commas; references come along (default all)")
	clients := flags.String("clients", "1,16,64,256", "numbers of clients, separated by commas")
	rtts := flags.String("rtt", "0,1ms", "network round trips to add, separated by commas")
	flags.IntVar(&o.rounds, "rounds", 7, "rounds; medians over them are printed")
	flags.DurationVar(&o.slice, "slice", 300*time.Millisecond, "how long each contender runs in each round")
	flags.IntVar(&o.conns, "conns", 64, "connections of each pool")
	flags.StringVar(&o.json, "json", "", "`file` to write the results to, for programs")
	flags.StringVar(&o.svg, "svg", "", "`file` to draw a chart in")
	flags.StringVar(&o.baseline, "baseline", "", "`file` of an earlier -json to compare the ratios with")
	flags.IntVar(&o.rows, "rows", 10_000_000, "records, for -scale")
	flags.StringVar(&o.keys, "keys", "v4,v7", "kinds of UUID, for -scale")
	flags.StringVar(&o.buffers, "buffers", "", "shared_buffers of the server, for -scale (default: the server's)")
	quick := flags.Bool("quick", false, "about a minute: three short rounds with 16 clients")
	redis := flags.Bool("redis", false, "only fresh and replay of redisstore, against bare commands")
	chosen := make([]bool, len(modes))
	for i, m := range modes {
		flags.BoolVar(&chosen[i], m.name, false, m.usage)
	}
	if err := flags.Parse(arguments); err != nil {
		return o, err
	}
	for i, m := range modes {
		if chosen[i] {
			o.mode = m.name
		}
	}
	if *redis {
		*stores, *workloads = "redisstore", "fresh,replay"
	}
	if *quick {
		*clients, o.rounds, o.slice = "16", 3, 100*time.Millisecond
	}
	return o, o.fill(*workloads, *stores, *clients, *rtts)
}

// fill reads the lists.
func (o *options) fill(workloads, stores, clients, rtts string) (err error) {
	if o.workloads, err = list(workloads, "-workloads", func(name string) (contend.Workload, bool) {
		return contend.Workload(name), slices.Contains(contend.Workloads, contend.Workload(name))
	}); err != nil {
		return err
	}
	if o.stores, err = list(stores, "-stores", func(name string) (string, bool) {
		return name, slices.Contains(contend.Names, name)
	}); err != nil {
		return err
	}
	if o.clients, err = list(clients, "-clients", func(text string) (int, bool) {
		n, err := strconv.Atoi(text)
		return n, err == nil && n > 0
	}); err != nil {
		return err
	}
	if o.rtts, err = list(rtts, "-rtt", func(text string) (time.Duration, bool) {
		rtt, err := time.ParseDuration(text)
		return rtt, err == nil && rtt >= 0
	}); err != nil {
		return err
	}
	slices.Sort(o.rtts)
	if o.rounds < 1 || o.slice <= 0 || o.conns < 1 || len(o.workloads)*len(o.clients)*len(o.rtts) == 0 {
		return errors.New("nothing to measure")
	}
	return nil
}

// list reads what stands between commas.
func list[T any](text, flag string, read func(string) (T, bool)) (values []T, err error) {
	for _, part := range split(text) {
		value, ok := read(part)
		if !ok {
			return nil, fmt.Errorf("%s: %q is not understood", flag, part)
		}
		values = append(values, value)
	}
	return values, nil
}

func split(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' })
}
