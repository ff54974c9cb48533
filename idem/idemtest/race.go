package idemtest

import (
	"sync"

	"github.com/pgidem/pgidem/idem"
)

// race is a number of attempts that reserve one key at the same time.
type race struct {
	k       *kit
	results []<-chan reserved
	want    idem.Cached
}

// startRace lets all attempts go. Whoever is fresh runs for a moment and then
// commits want.
func (k *kit) startRace(attempts []*attempt, want idem.Cached) *race {
	r := &race{k: k, want: want}
	var ready sync.WaitGroup
	gun := make(chan struct{})
	for _, a := range attempts {
		ready.Add(1)
		done := make(chan reserved, 1)
		r.results = append(r.results, done)
		go func() {
			ready.Done()
			<-gun
			done <- a.runOnce(want)
		}()
	}
	ready.Wait()
	close(gun)
	return r
}

// runOnce is the whole of an attempt: reserve, run, commit.
func (a *attempt) runOnce(response idem.Cached) reserved {
	r := a.reserveNow()
	if r.fresh && r.err == nil {
		a.k.moment()
		r.err = a.commitNow(response)
	}
	return r
}

// finish demands that exactly one attempt was fresh and that all others were
// given its response.
func (r *race) finish() {
	r.k.Helper()
	var all []reserved
	fresh := 0
	for _, result := range r.results {
		got := await(r.k, "an attempt among concurrent ones", result)
		if got.fresh {
			fresh++
		}
		all = append(all, got)
	}
	if fresh != 1 {
		r.k.Fatalf("%d of %d concurrent Reserves were fresh, want exactly one", fresh, len(all))
	}
	for _, got := range all {
		r.check(got)
	}
}

func (r *race) check(got reserved) {
	r.k.Helper()
	switch {
	case got.err != nil:
		r.k.Errorf("attempt among concurrent ones: %v", got.err)
	case got.fresh:
	case got.existing == nil:
		r.k.Errorf("Reserve returned nothing")
	default:
		if diff := difference(*got.existing, r.want); diff != "" {
			r.k.Errorf("replayed response differs: %s", diff)
		}
	}
}
