package main

import (
	"os"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pgidem/pgidem/bench/internal/contend"
	"github.com/pgidem/pgidem/bench/internal/delayline"
	"github.com/pgidem/pgidem/bench/internal/storm"
)

// The processes that a measurement starts are this program again.
func TestMain(m *testing.M) {
	if delayline.Child() || storm.Child() {
		return
	}
	os.Exit(m.Run())
}

// BenchmarkServe measures every contender in the form that benchstat reads:
//
//	go test -run=- -bench=Serve/fresh -count=10 . | tee new.txt && benchstat old.txt new.txt
//
// Runs that are compared were not taken in turns, as the table's are: the machine
// must be quiet.
func BenchmarkServe(b *testing.B) {
	s, err := openStage(b.Context(), anyServer)
	if err != nil {
		b.Fatal(err)
	}
	defer s.close()
	if err := s.openRedis(b.Context()); err != nil {
		b.Fatal(err)
	}
	f, err := s.field(b.Context(), options{rtts: []time.Duration{0}, conns: 64})
	if err != nil {
		b.Fatal(err)
	}
	if err := f.reset(b.Context()); err != nil {
		b.Fatal(err)
	}
	for _, w := range []contend.Workload{contend.Fresh, contend.Replay, contend.Hot, contend.Mixed} {
		for _, clients := range []int{1, 16, 64} {
			for _, c := range f.distances[0].shuffled(w) {
				b.Run(string(w)+"/"+c.Name()+"/clients="+strconv.Itoa(clients), func(b *testing.B) {
					serve(b, c, w, clients, f.known)
				})
			}
		}
	}
}

// serve lets so many clients share b.N requests.
func serve(b *testing.B, c contend.Contender, w contend.Workload, clients int, known []string) {
	b.ReportAllocs()
	next := w.Source(known, nil)
	var sent atomic.Int64
	done := make(chan error, clients)
	for range clients {
		go func() {
			for sent.Add(1) <= int64(b.N) {
				if _, err := c.Serve(b.Context(), next()); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range clients {
		if err := <-done; err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "req/s")
}

// Every mode runs, for a moment, and writes what it should: whether its figures
// mean anything is for a quiet machine.
func TestTableIsMeasuredWrittenAndCompared(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	json, svg := folder+"/table.json", folder+"/table.svg"
	short := []string{"-rounds=1", "-slice=10ms", "-clients=2", "-json=" + json, "-svg=" + svg}
	if err := run(t.Context(), short); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{json, svg} {
		if info, err := os.Stat(name); err != nil || info.Size() < 1000 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	again := []string{"-rounds=1", "-slice=20ms", "-clients=2", "-rtt=0", "-workloads=fresh", "-stores=txstore", "-baseline=" + json}
	if err := run(t.Context(), again); err != nil {
		t.Fatal(err)
	}
}

func TestModesRun(t *testing.T) {
	t.Parallel()
	for _, arguments := range [][]string{
		{"-budget", "-rounds=1", "-slice=50ms", "-clients=1"},
		{"-storm", "-rounds=1"},
		{"-scale", "-rounds=1", "-slice=50ms", "-clients=2", "-rows=5000"},
		{"-sweep", "-rounds=1", "-slice=50ms", "-rows=5000"},
		{"-ping"},
	} {
		t.Run(arguments[0], func(t *testing.T) {
			t.Parallel()
			if err := run(t.Context(), arguments); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestWrongArgumentsAreRefused(t *testing.T) {
	t.Parallel()
	for _, arguments := range [][]string{
		{"-workloads=fresh,other"}, {"-clients=0"}, {"-clients=few"}, {"-rtt=far"}, {"-rounds=0"}, {"-slice=0"}, {"-stores=nobody"}, {"-workloads="},
	} {
		if _, err := parse(arguments); err == nil {
			t.Errorf("%v: accepted", arguments)
		}
	}
	o, err := parse([]string{"-quick", "-rtt=1ms,0"})
	if err != nil || !slices.Equal(o.clients, []int{16}) || !slices.Equal(o.rtts, []time.Duration{0, time.Millisecond}) {
		t.Errorf("%+v, error %v", o, err)
	}
}
