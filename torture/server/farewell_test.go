package server

import (
	"strings"
	"testing"
)

func TestFarewellCountsGoroutinesThatAreLeft(t *testing.T) {
	if f := farewell(); f.Goroutines != 0 {
		t.Fatalf("before anything was left: %+v", f)
	}
	release := make(chan struct{})
	defer close(release)
	for range 2 {
		go func() { <-release }()
	}
	if f := farewell(); f.Goroutines != 2 || !strings.Contains(f.Stacks, "TestFarewellCounts") {
		t.Errorf("two goroutines are left, and it says %+v", f)
	}
}
