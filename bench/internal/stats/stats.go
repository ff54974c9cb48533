// Package stats sums up measurements that were repeated on a noisy machine.
package stats

import (
	"math"
	"slices"
)

// Summary says where the middle of repeated measurements lies, and how far half
// of them spread around it.
type Summary struct {
	Median float64 `json:"median"`
	// Low and High are the quartiles.
	Low  float64 `json:"low"`
	High float64 `json:"high"`
}

// Summarize sums up values; no values have a Summary of zeros.
func Summarize(values []float64) Summary {
	sorted := slices.Sorted(slices.Values(values))
	return Summary{Median: quantile(sorted, 0.5), Low: quantile(sorted, 0.25), High: quantile(sorted, 0.75)}
}

// Median returns the middle of values, or the mean of the two in the middle; of
// no values, 0.
func Median(values []float64) float64 { return Summarize(values).Median }

// Quotients divides a by b, one by one: both were measured in the same rounds,
// and what disturbed a round disturbed both.
func Quotients(a, b []float64) []float64 {
	q := make([]float64, min(len(a), len(b)))
	for i := range q {
		q[i] = a[i] / b[i]
	}
	return q
}

// Percentile returns the smallest of values that at least p percent of them do
// not exceed; of no values, 0. It sorts values.
func Percentile(values []float64, p float64) float64 {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	rank := int(math.Ceil(p / 100 * float64(len(values))))
	return values[max(rank, 1)-1]
}

// quantile interpolates between the two values that stand around q.
func quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	at := q * float64(len(sorted)-1)
	below := int(at)
	if below == len(sorted)-1 {
		return sorted[below]
	}
	return sorted[below] + (at-float64(below))*(sorted[below+1]-sorted[below])
}
