// Package report keeps what was measured, for people and for programs.
package report

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/pgidem/pgidem/bench/internal/contend"
	"github.com/pgidem/pgidem/bench/internal/machine"
	"github.com/pgidem/pgidem/bench/internal/stats"
)

// Format is the version of the JSON form.
const Format = 1

// Report is one run of the table.
type Report struct {
	Format  int           `json:"format"`
	Taken   time.Time     `json:"taken"`
	Machine machine.Facts `json:"machine"`
	Rounds  int           `json:"rounds"`
	// SliceMS is how long each turn was, in milliseconds.
	SliceMS float64 `json:"slice_ms"`
	Conns   int     `json:"pool_connections"`
	Known   int     `json:"known_keys"`
	Cells   []Cell  `json:"cells"`
}

// Place is one of the situations that the contenders meet in.
type Place struct {
	Workload contend.Workload `json:"workload"`
	Clients  int              `json:"clients"`
	// RTTMS is the network round trip that was added, in milliseconds.
	RTTMS float64 `json:"added_rtt_ms"`
}

// Cell is what one contender did in one place.
type Cell struct {
	Place
	Contender string `json:"contender"`
	// PerSecond is requests answered a second.
	PerSecond stats.Summary `json:"per_second"`
	// ToBare and ToFloor sum up the quotients of each round's rate and that of
	// the reference in the same round; nil without such a reference.
	ToBare  *stats.Summary `json:"to_bare,omitempty"`
	ToFloor *stats.Summary `json:"to_floor,omitempty"`
	// P50MS and P99MS are medians over the rounds of each round's percentiles of
	// the time that an answer took, in milliseconds.
	P50MS float64 `json:"p50_ms"`
	P99MS float64 `json:"p99_ms"`
}

// Find returns the contender's cell in a place.
func (r *Report) Find(p Place, contender string) (Cell, bool) {
	for _, c := range r.Cells {
		if c.Place == p && c.Contender == contender {
			return c, true
		}
	}
	return Cell{}, false
}

// Places returns the situations in the order in which they were measured.
func (r *Report) Places() []Place {
	return distinct(r.Cells, func(c Cell) Place { return c.Place })
}

// Contenders returns the names in the order in which they were measured.
func (r *Report) Contenders() []string {
	return distinct(r.Cells, func(c Cell) string { return c.Contender })
}

func distinct[T comparable](cells []Cell, of func(Cell) T) (found []T) {
	for _, c := range cells {
		if v := of(c); !slices.Contains(found, v) {
			found = append(found, v)
		}
	}
	return found
}

// Write writes the report to a file, as JSON.
func (r *Report) Write(name string) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(name, append(b, '\n'), 0o644) //nolint:gosec // for everybody to read
}

// Read reads a report that Write has written.
func Read(name string) (*Report, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	r := &Report{}
	if err := json.Unmarshal(b, r); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if r.Format != Format {
		return nil, fmt.Errorf("%s has format %d, want %d", name, r.Format, Format)
	}
	return r, nil
}
