package wallclock_test

import (
	"testing"

	"github.com/pgidem/pgidem/torture/wallclock"
)

func TestBuildNeedsTheModule(t *testing.T) {
	t.Chdir(t.TempDir())
	if path, err := wallclock.Build(t.Context(), t.TempDir()); err == nil {
		t.Errorf("built %s from nothing", path)
	}
}
