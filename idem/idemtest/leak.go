package idemtest

import (
	"context"
	"fmt"
	"runtime/pprof"
	"strings"
	"sync/atomic"
	"time"
)

const caseLabel = "idemtest-case"

var caseCount atomic.Int64

// watched runs a case and reports every goroutine that it, or the store, has
// started and that is still there when the case's clean-ups are done.
//
// It marks goroutines with a profiler label, which those they start inherit, so
// that cases running in parallel are told apart.
func watched(tb TB, h Harness, run func()) {
	tb.Helper()
	mark := fmt.Sprintf("%s #%d", tb.Name(), caseCount.Add(1))
	// The first clean-up to be registered is the last to run.
	tb.Cleanup(func() { reportLeaks(tb, h, mark) })
	pprof.Do(tb.Context(), pprof.Labels(caseLabel, mark), func(context.Context) { run() })
}

func reportLeaks(tb TB, h Harness, mark string) {
	tb.Helper()
	bound := time.Now().Add(h.patience())
	var left []string
	for wait := time.Millisecond; ; wait *= 2 {
		if left = goroutines(mark, h.Background); len(left) == 0 {
			return
		}
		if time.Now().Add(wait).After(bound) {
			break
		}
		<-time.After(wait) // a goroutine may need a moment to end
	}
	tb.Errorf("goroutines left behind:\n%s", strings.Join(left, "\n\n"))
}

// goroutines returns the groups of equal stacks that carry mark and none of the
// background's names.
func goroutines(mark string, background []string) []string {
	var profile strings.Builder
	if err := pprof.Lookup("goroutine").WriteTo(&profile, 1); err != nil {
		return []string{err.Error()}
	}
	label := fmt.Sprintf("%q:%q", caseLabel, mark)
	var left []string
	for stack := range strings.SplitSeq(profile.String(), "\n\n") {
		if strings.Contains(stack, label) && !containsAny(stack, background) {
			left = append(left, stack)
		}
	}
	return left
}

func containsAny(s string, parts []string) bool {
	for _, part := range parts {
		if strings.Contains(s, part) {
			return true
		}
	}
	return false
}
