package stats_test

import (
	"slices"
	"testing"

	"github.com/pgidem/pgidem/bench/internal/stats"
)

func TestSummarize(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		values []float64
		want   stats.Summary
	}{
		{nil, stats.Summary{}},
		{[]float64{3}, stats.Summary{Median: 3, Low: 3, High: 3}},
		{[]float64{9, 1, 5}, stats.Summary{Median: 5, Low: 3, High: 7}},
		{[]float64{4, 1, 3, 2}, stats.Summary{Median: 2.5, Low: 1.75, High: 3.25}},
		{[]float64{5, 4, 3, 2, 1}, stats.Summary{Median: 3, Low: 2, High: 4}},
	} {
		before := slices.Clone(c.values)
		if got := stats.Summarize(c.values); got != c.want {
			t.Errorf("Summarize(%v) = %v, want %v", c.values, got, c.want)
		}
		if !slices.Equal(before, c.values) {
			t.Errorf("Summarize changed its argument to %v", c.values)
		}
	}
}

// The median of the ratios is not the ratio of the medians: a slow round is slow
// for both.
func TestQuotientsAreTakenRoundByRound(t *testing.T) {
	t.Parallel()
	a, b := []float64{50, 100, 9}, []float64{100, 200, 10}
	if got := stats.Quotients(a, b); !slices.Equal(got, []float64{0.5, 0.5, 0.9}) {
		t.Errorf("got %v", got)
	}
	if got := stats.Median(stats.Quotients(a, b)); got != 0.5 {
		t.Errorf("median of the ratios is %v, want 0.5", got)
	}
}

func TestPercentile(t *testing.T) {
	t.Parallel()
	hundred := make([]float64, 100)
	for i := range hundred {
		hundred[99-i] = float64(i + 1)
	}
	for _, c := range []struct {
		values []float64
		p      float64
		want   float64
	}{
		{nil, 50, 0},
		{[]float64{7}, 99, 7},
		{[]float64{2, 1}, 50, 1},
		{[]float64{2, 1}, 51, 2},
		{hundred, 0, 1},
		{hundred, 50, 50},
		{hundred, 99, 99},
		{hundred, 99.5, 100},
		{hundred, 100, 100},
	} {
		if got := stats.Percentile(c.values, c.p); got != c.want {
			t.Errorf("Percentile(%d values, %v) = %v, want %v", len(c.values), c.p, got, c.want)
		}
	}
}
