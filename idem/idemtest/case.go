package idemtest

import (
	"slices"
	"testing"
)

// Case is one line of a store's contract.
type Case struct {
	// Name says the behaviour. Those that run without an attempt in the context
	// are named WithoutAttempt/….
	Name string
	// Behaviour is the number of the behaviour in the project's catalogue.
	Behaviour int
	// Run tries the case on a store that h makes. It returns when the case is
	// decided; what it leaves for tb's clean-ups belongs to the case.
	Run func(tb TB, h Harness)

	applies func(h Harness) bool
}

// Applies tells whether h supports the case: whether it has the hooks that the
// case needs.
func (c Case) Applies(h Harness) bool { return c.applies(h) }

// Run runs every case that h supports as a parallel subtest of t. It ends the
// test if NewStore or Age is missing.
func Run(t *testing.T, h Harness) {
	t.Helper()
	if h.NewStore == nil || h.Age == nil {
		t.Fatalf("idemtest: Harness.NewStore and Harness.Age are required")
	}
	for _, c := range Cases() {
		if !c.Applies(h) {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			c.Run(t, h)
		})
	}
}

// Cases returns all cases, in the order of their behaviours.
func Cases() []Case {
	var cases []Case
	for _, d := range definitions() {
		cases = append(cases, d.newCase(false))
		if d.needs&attempts == 0 {
			cases = append(cases, d.newCase(true))
		}
	}
	slices.SortStableFunc(cases, func(a, b Case) int { return a.Behaviour - b.Behaviour })
	return cases
}

func definitions() []definition {
	return slices.Concat(
		reserveCases, waitCases, giveUpCases, replayCases, commitCases, releaseCases,
		fenceCases, nestedCases, expiryCases, tombstoneCases, leaseCases, renewalCases, keyCases, outageCases, peerCases,
	)
}

// definition is a case before it is known how its contexts are made.
type definition struct {
	name      string
	behaviour int
	needs     needs
	run       func(k *kit)
}

// needs are the parts of a Harness without which a case makes no sense.
type needs int

const (
	attempts needs = 1 << iota
	inFlightHash
	peer
	closing
	breaking
	corrupting
	leases
	shortLeases
	noLeases
	tombstones
	sweeping
)

func (d definition) newCase(plain bool) Case {
	c := Case{Name: d.name, Behaviour: d.behaviour}
	c.applies = func(h Harness) bool { return d.needs&^h.offers(plain) == 0 && h.allows(plain) }
	if plain {
		c.Name = "WithoutAttempt/" + d.name
	}
	c.Run = func(tb TB, h Harness) {
		tb.Helper()
		if d.needs&shortLeases != 0 {
			h.NewStore = h.Leases.NewShort
		}
		watched(tb, h, func() { d.run(newKit(tb, h, plain)) })
	}
	return c
}

func (h Harness) allows(plain bool) bool {
	return !plain || h.Attempts == AttemptsOptional
}

func (h Harness) offers(plain bool) needs {
	var n needs
	for _, part := range []struct {
		there bool
		is    needs
	}{
		{!plain && h.Attempts != AttemptsIgnored, attempts},
		{h.InFlightHash, inFlightHash},
		{h.Peer != nil, peer},
		{h.Close != nil, closing},
		{h.Break != nil, breaking},
		{h.Corrupt != nil, corrupting},
		{h.Leases != nil, leases},
		{h.Leases != nil && h.Leases.NewShort != nil, shortLeases},
		{h.Leases == nil, noLeases},
		{h.Tombstones != nil, tombstones},
		{h.Tombstones != nil && h.Tombstones.Sweep != nil, sweeping},
	} {
		if part.there {
			n |= part.is
		}
	}
	return n
}
