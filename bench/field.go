package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/pgidem/pgidem/bench/internal/contend"
	"github.com/pgidem/pgidem/bench/internal/payment"
)

// field is all contenders, at each distance.
type field struct {
	distances []distance // the nearest first
	known     []string
}

// distance is the contenders as they stand that far from their servers.
type distance struct {
	rtt      time.Duration
	families []*contend.Family
}

// knownKeys is how many requests were served before: more than fit into a cache
// by chance, few enough to begin every round with.
const knownKeys = 10_000

func (s *stage) field(ctx context.Context, o options) (*field, error) {
	f := &field{}
	for range knownKeys {
		f.known = append(f.known, payment.NewKey())
	}
	if err := contend.Prepare(ctx, s.url); err != nil {
		return nil, err
	}
	for _, rtt := range o.rtts {
		families, err := s.families(ctx, rtt, o.conns)
		if err != nil {
			return nil, err
		}
		d := distance{rtt: rtt}
		for _, family := range families {
			if o.choose(family) {
				d.families = append(d.families, family)
			}
		}
		f.distances = append(f.distances, d)
	}
	return f, nil
}

// families opens every family at a distance; those without a server stand at
// none.
func (s *stage) families(ctx context.Context, rtt time.Duration, conns int) ([]*contend.Family, error) {
	databaseURL, err := s.distantURL(ctx, rtt)
	if err != nil {
		return nil, err
	}
	pool, err := s.pool(ctx, databaseURL, conns)
	if err != nil {
		return nil, err
	}
	addr, err := s.line(ctx, s.redis.Addr(), rtt)
	if err != nil {
		return nil, err
	}
	postgres, err := contend.Postgres(pool)
	if err != nil {
		return nil, err
	}
	http, err := contend.HTTP(pool)
	if err != nil {
		return nil, err
	}
	redis, err := contend.Redis(s.client(addr, conns))
	if err != nil {
		return nil, err
	}
	families := []*contend.Family{postgres, http, redis, contend.Memory()}
	if rtt > 0 {
		families = slices.DeleteFunc(families, func(f *contend.Family) bool { return !f.Distant })
	}
	for _, family := range families {
		s.onClose(family.Close)
	}
	return families, nil
}

// choose leaves in family the contenders that were asked for, with their
// references, and tells whether there are any.
func (o options) choose(family *contend.Family) bool {
	if len(o.stores) == 0 {
		return true
	}
	asked := func(c contend.Contender) bool { return slices.Contains(o.stores, c.Name()) }
	if !slices.ContainsFunc(family.Contenders, asked) {
		return false
	}
	family.Contenders = slices.DeleteFunc(family.Contenders, func(c contend.Contender) bool {
		return !asked(c) && c.Name() != family.Bare && c.Name() != family.Floor
	})
	return true
}

// reset makes all as it was at first. What stands at one distance shares its
// tables with what stands at another.
func (f *field) reset(ctx context.Context) error {
	for _, d := range f.distances[:1] {
		for _, family := range d.families {
			if err := family.Reset(ctx, f.known); err != nil {
				return fmt.Errorf("starting over: %w", err)
			}
		}
	}
	return nil
}

// shuffled returns those who play, in random order: what runs before one may
// leave something behind.
func (d distance) shuffled(w contend.Workload) (players []contend.Contender) {
	for _, family := range d.families {
		for _, c := range family.Contenders {
			if c.Plays(w) {
				players = append(players, c)
			}
		}
	}
	rand.Shuffle(len(players), func(i, k int) { players[i], players[k] = players[k], players[i] })
	return players
}
