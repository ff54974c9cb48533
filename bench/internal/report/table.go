package report

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"

	"github.com/pgidem/pgidem/bench/internal/contend"
	"github.com/pgidem/pgidem/bench/internal/stats"
)

// Print writes one table for each workload and distance: a row for each
// contender, its rate and its ratios for each number of clients.
func (r *Report) Print(w io.Writer) {
	_, _ = fmt.Fprintf(w, "\n%s\n", r.Machine)
	_, _ = fmt.Fprintf(w, "median of %d rounds of %.0f ms a turn; in brackets the quartiles of the ratio; pools of %d connections\n",
		r.Rounds, r.SliceMS, r.Conns)
	for _, rtt := range distances(r) {
		for _, workload := range contend.Workloads {
			r.printOne(w, workload, rtt)
		}
	}
}

func distances(r *Report) (all []float64) {
	for _, p := range r.Places() {
		if !slices.Contains(all, p.RTTMS) {
			all = append(all, p.RTTMS)
		}
	}
	return all
}

func (r *Report) printOne(w io.Writer, workload contend.Workload, rtt float64) {
	places := slices.DeleteFunc(r.Places(), func(p Place) bool { return p.Workload != workload || p.RTTMS != rtt })
	if len(places) == 0 {
		return
	}
	_, _ = fmt.Fprintf(w, "\n%s, %s\n", workload, Distance(rtt))
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprint(t, "\t")
	for _, p := range places {
		_, _ = fmt.Fprintf(t, "%d clients: 1/s\tp50 ms\tp99 ms\tto bare\t\tto floor\t\t", p.Clients)
	}
	_, _ = fmt.Fprintln(t)
	for _, name := range r.Contenders() {
		if _, plays := r.Find(places[0], name); plays || len(places) > 1 && r.playsAny(places, name) {
			r.printRow(t, places, name)
		}
	}
	_ = t.Flush()
}

func (r *Report) playsAny(places []Place, name string) bool {
	return slices.ContainsFunc(places, func(p Place) bool {
		_, plays := r.Find(p, name)
		return plays
	})
}

func (r *Report) printRow(w io.Writer, places []Place, name string) {
	_, _ = fmt.Fprintf(w, "%s\t", name)
	for _, p := range places {
		c, _ := r.Find(p, name)
		_, _ = fmt.Fprintf(w, "%.0f\t%.2f\t%.2f\t%s\t%s\t", c.PerSecond.Median, c.P50MS, c.P99MS, ratio(c.ToBare), ratio(c.ToFloor))
	}
	_, _ = fmt.Fprintln(w)
}

func ratio(s *stats.Summary) string {
	if s == nil {
		return "–\t"
	}
	return fmt.Sprintf("%.2f\t(%.2f–%.2f)", s.Median, s.Low, s.High)
}

// Distance names a network round trip.
func Distance(rtt float64) string {
	if rtt == 0 {
		return "on loopback"
	}
	return fmt.Sprintf("with %g ms of network round trip", rtt)
}
