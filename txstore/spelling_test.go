package txstore_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgidem/pgidem/idem"
)

// Of looks that travel together, one whose key the connection cannot spell concerns
// itself alone.
func TestKeyThatCannotBeSpelledConcernsItsOwnRetry(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	const many = 40
	for i := range many {
		w.attempt(fmt.Sprint("plain", i)).mustBeFresh().mustCommit("x")
	}
	w.attempt("café").mustBeFresh().mustCommit("x")
	p := w.process(given{Conns: 1, Pool: func(c *pgxpool.Config) { c.ConnConfig.RuntimeParams["client_encoding"] = "LATIN1" }})
	for range 200 { // it learns that most are replays
		p.attempt("plain0").mustReplay("x")
	}
	var all sync.WaitGroup
	for i := range many {
		all.Go(func() {
			for range 20 {
				if _, _, err := p.attempt(fmt.Sprint("plain", i)).reserve(); err != nil {
					t.Errorf("an ASCII key: %v", err)
				}
			}
		})
		all.Go(func() {
			for range 20 {
				if _, _, err := p.attempt("café").reserve(); !errors.Is(err, idem.ErrStoreUnavailable) {
					t.Errorf("café: %v, want ErrStoreUnavailable", err)
				}
			}
		})
	}
	await(t, "all", closed(&all))
}
