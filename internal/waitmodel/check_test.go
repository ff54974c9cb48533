package waitmodel

import "testing"

// A search that was cut off has seen no error either, and must not pass for one
// that went to its end.
func TestReportsAreRead(t *testing.T) {
	t.Parallel()
	const figures = "\n  1234 states, stored\n  128.730\ttotal actual memory usage\n"
	for report, want := range map[string]Finding{
		"State-vector 88 byte, depth reached 21, errors: 0":                          Nothing,
		"pan:1: assertion violated 0 (at depth 21)\nSearch not completed\nerrors: 1": Assertion,
		"pan:1: invalid end state (at depth 9)\nSearch not completed\nerrors: 1":     Stuck,
		"pan:1: non-progress cycle (at depth 3)\nSearch not completed\nerrors: 1":    BusyLoop,
		"pan: reached -DMEMLIM bound\nSearch not completed\nerrors: 0":               Incomplete,
		"error: max search depth too small\nerrors: 0":                               Incomplete,
		"": Incomplete,
	} {
		got := read(report + figures)
		if got.Found != want || got.States != 1234 || got.Megabytes != 128.73 {
			t.Errorf("%q: %s, %d states, %v MB; want %s", report, got.Found, got.States, got.Megabytes, want)
		}
	}
}
