package report

import (
	"slices"

	"github.com/pgidem/pgidem/bench/internal/contend"
	"github.com/pgidem/pgidem/bench/internal/stats"
	"github.com/pgidem/pgidem/bench/internal/turns"
)

// Rounds collects the results of turns. It is for one goroutine.
type Rounds struct {
	places []Place
	took   map[entry][]turns.Result
}

type entry struct {
	place     Place
	contender string
}

// NewRounds returns one that is empty.
func NewRounds() *Rounds { return &Rounds{took: make(map[entry][]turns.Result)} }

// Add notes the result of one more round.
func (r *Rounds) Add(p Place, contender string, result turns.Result) {
	e := entry{p, contender}
	if !slices.Contains(r.places, p) {
		r.places = append(r.places, p)
	}
	r.took[e] = append(r.took[e], result)
}

// Cells sums up the rounds, place by place as they were measured. The contenders
// of each family stand together, and are compared with its own references.
func (r *Rounds) Cells(families []*contend.Family) (cells []Cell) {
	for _, place := range r.places {
		for _, f := range families {
			for _, c := range f.Contenders {
				if e := (entry{place, c.Name()}); len(r.took[e]) > 0 {
					cells = append(cells, r.cell(e, f))
				}
			}
		}
	}
	return cells
}

func (r *Rounds) cell(e entry, f *contend.Family) Cell {
	return Cell{
		Place: e.place, Contender: e.contender, PerSecond: stats.Summarize(r.rates(e)),
		ToBare: r.against(e, f.Bare), ToFloor: r.against(e, f.Floor),
		P50MS: stats.Median(r.each(e, func(t turns.Result) float64 { return t.P50 })),
		P99MS: stats.Median(r.each(e, func(t turns.Result) float64 { return t.P99 })),
	}
}

// against compares with a reference, round by round.
func (r *Rounds) against(e entry, reference string) *stats.Summary {
	rates := r.rates(entry{e.place, reference})
	if len(rates) == 0 {
		return nil
	}
	s := stats.Summarize(stats.Quotients(r.rates(e), rates))
	return &s
}

func (r *Rounds) rates(e entry) []float64 {
	return r.each(e, func(t turns.Result) float64 { return t.PerSecond })
}

func (r *Rounds) each(e entry, value func(turns.Result) float64) []float64 {
	values := make([]float64, len(r.took[e]))
	for i, t := range r.took[e] {
		values[i] = value(t)
	}
	return values
}
