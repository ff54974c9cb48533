package report_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/pgidem/pgidem/bench/internal/contend"
	"github.com/pgidem/pgidem/bench/internal/machine"
	"github.com/pgidem/pgidem/bench/internal/report"
	"github.com/pgidem/pgidem/bench/internal/turns"
)

var (
	fresh = report.Place{Workload: contend.Fresh, Clients: 16}
	far   = report.Place{Workload: contend.Fresh, Clients: 16, RTTMS: 1}
)

// named is a contender of which only the name matters.
type named struct {
	contend.Contender
	name string
}

func (n named) Name() string { return n.name }

func family() []*contend.Family {
	return []*contend.Family{
		{Contenders: []contend.Contender{named{name: "bare"}, named{name: "floor"}, named{name: "txstore"}}, Bare: "bare", Floor: "floor"},
		{Contenders: []contend.Contender{named{name: "memory"}}},
	}
}

func rounds(rates map[string][]float64) *report.Report {
	r := report.NewRounds()
	for _, name := range []string{"bare", "floor", "txstore", "memory"} {
		for _, rate := range rates[name] {
			r.Add(fresh, name, turns.Result{PerSecond: rate, P50: 1, P99: rate})
		}
	}
	return &report.Report{
		Format: report.Format, Taken: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Machine: machine.Look(),
		Rounds: 3, SliceMS: 300, Conns: 64, Known: 10, Cells: r.Cells(family()),
	}
}

var measured = map[string][]float64{"bare": {100, 50, 200}, "floor": {80, 40, 160}, "txstore": {76, 38, 152}, "memory": {9, 9, 9}}

func TestRatiosAreToTheReferencesOfTheOwnFamily(t *testing.T) {
	t.Parallel()
	r := rounds(measured)
	c, ok := r.Find(fresh, "txstore")
	if !ok || c.PerSecond.Median != 76 || c.ToBare.Median != 0.76 || c.ToFloor.Median != 0.95 || c.P99MS != 76 {
		t.Errorf("txstore: %+v", c)
	}
	if c.ToBare.Low != 0.76 || c.ToBare.High != 0.76 {
		t.Errorf("every round had the same ratio, so it does not spread: %+v", c.ToBare)
	}
	if c, ok := r.Find(fresh, "memory"); !ok || c.ToBare != nil || c.ToFloor != nil {
		t.Errorf("memory has a reference: %+v", c)
	}
	if _, ok := r.Find(far, "txstore"); ok {
		t.Error("found what was not measured")
	}
}

func TestReportIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "report.json")
	written := rounds(measured)
	if err := written.Write(name); err != nil {
		t.Fatal(err)
	}
	got, err := report.Read(name)
	if err != nil || !reflect.DeepEqual(got, written) {
		t.Errorf("read %+v, error %v; written was %+v", got, err, written)
	}
}

// Programs go by these names.
func TestJSONHasItsNames(t *testing.T) {
	t.Parallel()
	b, err := json.Marshal(rounds(measured))
	if err != nil {
		t.Fatal(err)
	}
	var top map[string]any
	if err := json.Unmarshal(b, &top); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"format", "taken", "machine", "rounds", "slice_ms", "pool_connections", "known_keys", "cells"} {
		if top[name] == nil {
			t.Errorf("the report has no %s", name)
		}
	}
	cell := top["cells"].([]any)[2].(map[string]any)
	for _, name := range []string{"workload", "clients", "added_rtt_ms", "contender", "per_second", "to_bare", "to_floor", "p50_ms", "p99_ms"} {
		if cell[name] == nil {
			t.Errorf("a cell has no %s", name)
		}
	}
	if s := cell["per_second"].(map[string]any); s["median"] != 76.0 || s["low"] == nil || s["high"] == nil {
		t.Errorf("a summary is %v", s)
	}
}

func TestUnknownFormatIsRefused(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "report.json")
	if err := os.WriteFile(name, []byte(`{"format": 99}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := report.Read(name); err == nil {
		t.Error("it was read")
	}
}

func TestOnlyChangesBeyondTheSpreadAreMarked(t *testing.T) {
	t.Parallel()
	slower := map[string][]float64{"bare": {100, 100, 100}, "floor": {80, 80, 80}, "txstore": {40, 41, 42}, "memory": {1, 1, 1}}
	changes := report.Compare(rounds(measured), rounds(slower))
	marked := make(map[string]bool)
	for _, c := range changes {
		marked[c.Contender] = c.Beyond
	}
	if want := map[string]bool{"bare": false, "floor": false, "txstore": true}; !reflect.DeepEqual(marked, want) {
		t.Errorf("marked %v, want %v", marked, want)
	}
}

func TestTableShowsWhatPlays(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	rounds(measured).Print(&b)
	for _, want := range []string{"fresh, on loopback", "16 clients", "txstore", "0.76", "(0.95–0.95)", "–"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
	if strings.Contains(b.String(), "replay,") {
		t.Errorf("a workload that was not measured is there:\n%s", b.String())
	}
}
