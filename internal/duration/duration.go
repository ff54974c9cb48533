// Package duration checks the durations of a Config.
package duration

import (
	"fmt"
	"time"
)

const (
	// Least is less than any network takes: who sets less has forgotten the unit.
	Least = time.Millisecond
	// LongestPoll is as good as never, and a time.Duration can hold its multiples.
	LongestPoll = time.Hour
)

// Field is a duration of a Config, which zero leaves at its default.
type Field struct {
	Name    string
	Value   *time.Duration
	Default time.Duration
	Min     time.Duration
	Max     time.Duration // 0: none
}

// Fill gives fields that are zero their defaults. Its error names the first that is
// out of bounds, in the Config of pkg.
func Fill(pkg string, fields ...Field) error {
	for _, f := range fields {
		if *f.Value == 0 {
			*f.Value = f.Default
		}
		switch d := *f.Value; {
		case d < f.Min:
			return fmt.Errorf("%s: Config.%s is %v: it must be %v at least, or 0 for the default, %v", pkg, f.Name, d, f.Min, f.Default)
		case f.Max > 0 && d > f.Max:
			return fmt.Errorf("%s: Config.%s is %v: it must be %v at most, or 0 for the default, %v", pkg, f.Name, d, f.Max, f.Default)
		}
	}
	return nil
}
