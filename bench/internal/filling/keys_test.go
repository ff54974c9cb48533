package filling_test

import (
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/pgidem/pgidem/bench/internal/filling"
)

func keys(kind filling.Kind) []string {
	k := filling.Keys{Kind: kind, Count: 1000, End: time.Now(), Seed: 7}
	all := make([]string, k.Count)
	for i := range all {
		all[i] = k.At(i)
	}
	return all
}

func TestKeysAreUUIDsOfTheirVersion(t *testing.T) {
	t.Parallel()
	for kind, pattern := range map[filling.Kind]string{
		filling.V4: `^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`,
		filling.V7: `^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`,
	} {
		valid := regexp.MustCompile(pattern)
		all := append(keys(kind), kind.New())
		for _, key := range all {
			if !valid.MatchString(key) {
				t.Fatalf("%s: %s", kind, key)
			}
		}
		slices.Sort(all)
		if n := len(slices.Compact(all)); n != 1001 {
			t.Errorf("%s: %d of 1001 keys differ", kind, n)
		}
	}
}

func TestKeysAreTheSameAgain(t *testing.T) {
	t.Parallel()
	k := filling.Keys{Kind: filling.V7, Count: 10, End: time.Now(), Seed: 7}
	other := k
	other.Seed = 8
	first := k.At(3)
	if again := k.At(3); again != first {
		t.Errorf("%s is %s the second time", first, again)
	}
	if other.At(3) == first {
		t.Error("another seed makes the same key")
	}
}

// That is what makes an index of them grow at its end only.
func TestV7KeysAscendUntilNow(t *testing.T) {
	t.Parallel()
	all := keys(filling.V7)
	if !slices.IsSorted(all) {
		t.Error("not sorted")
	}
	if now := filling.V7.New(); now < all[len(all)-1] {
		t.Errorf("%s was made before %s", now, all[len(all)-1])
	}
	if slices.IsSorted(keys(filling.V4)) {
		t.Error("random keys are sorted")
	}
}
