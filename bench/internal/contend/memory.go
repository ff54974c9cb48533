package contend

import (
	"context"

	"github.com/pgidem/pgidem/memory"
)

// Memory returns the family of the in-process store. It has no reference: what
// it costs is not a share of anything, and is better read in absolute numbers.
func Memory() *Family {
	inner := &protected{name: "memory", pay: payNothing}
	return &Family{
		Contenders: []Contender{inner},
		Reset: func(ctx context.Context, keys []string) error {
			inner.store = memory.New(memory.Config{MaxRecords: -1, MaxBytes: -1})
			return serveAll(ctx, keys, inner)
		},
		Close: func() {},
	}
}
