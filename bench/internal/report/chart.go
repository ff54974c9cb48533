package report

import (
	"fmt"

	"github.com/pgidem/pgidem/bench/internal/chart"
	"github.com/pgidem/pgidem/bench/internal/contend"
)

// Chart shows the ratios to bare with one number of clients: fresh and replay,
// near and far.
func (r *Report) Chart(clients int) chart.Chart {
	c := chart.Chart{
		Title: fmt.Sprintf("Throughput with %d clients, as a share of the same work without protection", clients),
		Notes: []string{
			fmt.Sprintf("Median of %d rounds; the line across a bar spans the quartiles. 1 is the bare transaction, SELECT, or Redis commands.", r.Rounds),
			fmt.Sprintf("Clients and servers on the same %d cores; PostgreSQL %s.", r.Machine.Cores, r.Machine.Postgres),
		},
	}
	for _, w := range []contend.Workload{contend.Fresh, contend.Replay} {
		for _, rtt := range distances(r) {
			p := Place{Workload: w, Clients: clients, RTTMS: rtt}
			if bars := r.bars(p); len(bars) > 0 {
				c.Panels = append(c.Panels, chart.Panel{Title: fmt.Sprintf("%s, %s", w, Distance(rtt)), Bars: bars})
			}
		}
	}
	return c
}

func (r *Report) bars(p Place) (bars []chart.Bar) {
	for _, name := range r.Contenders() {
		c, ok := r.Find(p, name)
		if !ok || c.ToBare == nil {
			continue
		}
		bars = append(bars, chart.Bar{Label: name, Value: c.ToBare.Median, Low: c.ToBare.Low, High: c.ToBare.High, Ours: contend.IsOurs(name)})
	}
	return bars
}
