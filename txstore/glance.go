package txstore

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/internal/convoy"
)

// maxGlances bounds how many glances travel together: who comes with large records
// has the others wait for them.
const maxGlances = 32

// glancesOf bounds how many connections look at a time, of a pool with so many: at
// most half of it, the rest is the handlers'.
func glancesOf(conns int) convoy.Limits {
	return convoy.Limits{Batch: maxGlances, Near: min(max(conns/2, 1), 4), Far: min(max(conns/2, 1), 16)}
}

// glance is a look at a key with a plain SELECT: no transaction, no lock, nothing
// written, one round trip. It may see too little, an attempt in flight or a
// standby that lags; what it does see completed is as final as from anywhere.
//
// Glances that come at the same time travel together, in one pipeline on one
// connection: one of them carries the others along. So a crowd of retries leaves
// the pool to those that run handlers. None joins one that has left: what a
// glance sees is never older than the request that it is for.
type glance struct {
	key  string
	came time.Time

	// found and err are the answer. A carrier sets them before it says answered.
	found found
	err   error
	// heard has a value when something is said to the glance.
	heard chan word

	// What a carrier needs of it, kept so that it is made once.
	scan    func(*row) error
	carries [maxGlances]*glance
}

// word is what is said to a glance.
type word uint8

const (
	answered word = iota
	sets          // it is to carry itself and others
	again         // it is to begin anew: what stopped its carrier was the carrier's
)

// spareGlances are glances that were answered: nobody else has a hand on them.
var spareGlances = sync.Pool{New: func() any {
	g := &glance{heard: make(chan word, 1)}
	g.scan = g.read
	return g
}}

func newGlances(conns int32) *convoy.Convoy[*glance] {
	return convoy.New(glancesOf(int(conns)), func(first *glance) { first.heard <- sets })
}

// glance looks key up. What stops it is the end of ctx, or concerns everybody.
func (s *Store) glance(ctx context.Context, key string) (found, error) {
	for {
		g := spareGlances.Get().(*glance)
		g.key, g.came = key, time.Now()
		s.glances.Join(g)
		heard, err := s.hear(ctx, g)
		if err != nil {
			return found{}, err // and its carrier may still write into it
		}
		if heard == sets {
			s.carry(ctx, g)
			heard = answered
		}
		f, err := g.found, g.err
		g.found, g.err = found{}, nil
		spareGlances.Put(g)
		if heard == answered {
			return f, err
		}
	}
}

// hear waits until something is said to g. Its error is the end of ctx, or of the
// Store.
func (s *Store) hear(ctx context.Context, g *glance) (word, error) {
	select {
	case heard := <-g.heard:
		return heard, nil // without asking for the end of ctx, which can cost a timer
	default:
	}
	select {
	case heard := <-g.heard:
		return heard, nil
	case <-ctx.Done():
	case <-s.running.Closed():
	}
	if !s.glances.Leave(g) {
		select {
		case heard := <-g.heard:
			return heard, nil // in this very moment, and it may be that g is to carry others
		default:
		}
	}
	if ctx.Err() == nil {
		return 0, errClosed()
	}
	return 0, waitEnded(ctx, false)
}

// begin forgets what a try has read whose connection broke behind it.
func (g *glance) begin() *glance {
	g.found, g.err = found{}, nil
	return g
}

// read reads the row. What is wrong with it concerns this key alone.
func (g *glance) read(r *row) error {
	if g.err = g.found.scan(r); g.err != nil && !errors.Is(g.err, idem.ErrRecordUnreadable) {
		g.err = unavailable(g.err)
	}
	return nil
}
