package idemtest_test

import (
	"os"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/idem/idemtest"
)

// shelf is a Shelf on a clock that moves only when it is told to.
type shelf struct {
	*Shelf
	aged *atomic.Int64
}

func newShelf() shelf {
	aged, start := new(atomic.Int64), time.Now()
	clock := func() time.Time { return start.Add(time.Duration(aged.Load())) }
	return shelf{NewShelf(clock), aged}
}

func TestShelfConforms(t *testing.T) {
	t.Parallel()
	idemtest.Run(t, idemtest.Harness{
		NewStore: func(idemtest.TB) idem.Store { return newShelf() },
		Age: func(_ idemtest.TB, s idem.Store, d time.Duration) {
			s.(shelf).aged.Add(int64(d))
		},
		InFlightHash: true,
	})
}

// TestGuideShowsCompiledCode: every Go block of the guide stands in the files
// of this example, so what a reader copies has passed the kit.
func TestGuideShowsCompiledCode(t *testing.T) {
	t.Parallel()
	guide := read(t, "../../docs/writing-a-store.md")
	code := read(t, "example_store_test.go") + read(t, "example_test.go")
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(guide, -1)
	if len(blocks) < 4 {
		t.Fatalf("%d Go blocks in the guide: the pattern does not find them", len(blocks))
	}
	for _, block := range blocks {
		if !strings.Contains(code, block[1]) {
			t.Errorf("not in the example's files:\n%s", block[1])
		}
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
