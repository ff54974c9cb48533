package report

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/pgidem/pgidem/bench/internal/stats"
)

// Change is how a contender's ratio to its reference differs between two runs.
type Change struct {
	Place
	Contender string
	Before    stats.Summary
	After     stats.Summary
	// Beyond: their quartiles do not overlap, so it is more than noise.
	Beyond bool
}

// Compare returns the change of every cell that both reports have. Rates are
// not compared, for the machine may have had another day: ratios are, to the
// floor where there is one, else to bare.
func Compare(before, after *Report) (changes []Change) {
	for _, c := range after.Cells {
		old, ok := before.Find(c.Place, c.Contender)
		was, is := old.best(), c.best()
		if !ok || was == nil || is == nil {
			continue
		}
		changes = append(changes, Change{
			Place: c.Place, Contender: c.Contender, Before: *was, After: *is,
			Beyond: is.Low > was.High || is.High < was.Low,
		})
	}
	return changes
}

func (c Cell) best() *stats.Summary {
	if c.ToFloor != nil {
		return c.ToFloor
	}
	return c.ToBare
}

// PrintChanges writes them as a table.
func PrintChanges(w io.Writer, changes []Change) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(t, "\nratio to floor or bare\tworkload\tclients\trtt ms\tbefore\tafter\tchange\t\t")
	for _, c := range changes {
		mark := ""
		if c.Beyond {
			mark = "beyond the spread"
		}
		_, _ = fmt.Fprintf(t, "%s\t%s\t%d\t%g\t%.2f\t%.2f\t%+.0f %%\t%s\t\n", c.Contender, c.Workload, c.Clients, c.RTTMS,
			c.Before.Median, c.After.Median, 100*(c.After.Median/c.Before.Median-1), mark)
	}
	_ = t.Flush()
}
