package idemtest

import (
	"context"
	"fmt"

	"github.com/pgidem/pgidem/idem"
)

// attempt is one try to run a handler for a key, as the middleware makes it.
type attempt struct {
	k     *kit
	store idem.Store
	ctx   context.Context
	key   string
	hash  string
}

// withHash returns a with another request hash.
func (a *attempt) withHash(hash string) *attempt {
	a.hash = hash
	return a
}

// reserved is what Reserve answered.
type reserved struct {
	existing *idem.Cached
	fresh    bool
	err      error
}

func (r reserved) String() string {
	existing := "nil"
	if r.existing != nil {
		existing = fmt.Sprintf("response with status %d and body %.40q", r.existing.Status, r.existing.Body)
	}
	return fmt.Sprintf("(%s, %t, %v)", existing, r.fresh, r.err)
}

// start calls Reserve in a goroutine of its own.
func (a *attempt) start() <-chan reserved {
	done := make(chan reserved, 1)
	go func() { done <- a.reserveNow() }()
	return done
}

// reserveNow calls Reserve under a deadline that ends with it: a store that
// ties the reservation to Reserve's context loses it here.
func (a *attempt) reserveNow() reserved {
	ctx, cancel := context.WithTimeout(a.ctx, 2*a.k.h.patience())
	defer cancel()
	var r reserved
	r.existing, r.fresh, r.err = a.store.Reserve(ctx, a.key, a.hash, ttl)
	if r.fresh {
		a.k.setOpen(a, true)
	}
	return r
}

// reserve calls Reserve and checks the form of its answer.
func (a *attempt) reserve() reserved {
	a.k.Helper()
	return a.finish(a.start())
}

func (a *attempt) finish(done <-chan reserved) reserved {
	a.k.Helper()
	r := await(a.k, "Reserve", done)
	answers := 0
	for _, given := range []bool{r.existing != nil, r.fresh, r.err != nil} {
		if given {
			answers++
		}
	}
	if answers != 1 {
		a.k.Fatalf("Reserve = %v: exactly one of the three must be set", r)
	}
	return r
}

func (a *attempt) mustBeFresh() {
	a.k.Helper()
	if r := a.reserve(); !r.fresh {
		a.k.Fatalf("Reserve = %v, want it fresh", r)
	}
}

func (a *attempt) mustReplay(want idem.Cached) *idem.Cached {
	a.k.Helper()
	return a.mustHaveReplayed(a.reserve(), want)
}

func (a *attempt) mustHaveReplayed(r reserved, want idem.Cached) *idem.Cached {
	a.k.Helper()
	if r.existing == nil {
		a.k.Fatalf("Reserve = %v, want the recorded response", r)
	}
	if diff := difference(*r.existing, want); diff != "" {
		a.k.Fatalf("replayed response differs: %s", diff)
	}
	return r.existing
}

// commitNow calls Commit, in whatever goroutine it is called.
func (a *attempt) commitNow(response idem.Cached) error {
	err := a.store.Commit(context.WithoutCancel(a.ctx), a.key, a.hash, response)
	if err == nil {
		a.k.setOpen(a, false)
	}
	return err
}

func (a *attempt) commit(response idem.Cached) error {
	a.k.Helper()
	return within(a.k, "Commit", func() error { return a.commitNow(response) })
}

func (a *attempt) mustCommit(response idem.Cached) {
	a.k.Helper()
	if err := a.commit(response); err != nil {
		a.k.Fatalf("Commit: %v", err)
	}
}

// mustNotCommit demands that Commit is refused.
func (a *attempt) mustNotCommit(who string, response idem.Cached) {
	a.k.Helper()
	if err := a.commit(response); err == nil {
		a.k.Errorf("Commit of %s succeeded, want an error", who)
	}
}

// releaseNow calls Release, in whatever goroutine it is called.
func (a *attempt) releaseNow() error {
	a.k.setOpen(a, false)
	return a.store.Release(context.WithoutCancel(a.ctx), a.key)
}

func (a *attempt) release() error {
	a.k.Helper()
	return within(a.k, "Release", a.releaseNow)
}

func (a *attempt) mustRelease() {
	a.k.Helper()
	if err := a.release(); err != nil {
		a.k.Fatalf("Release: %v", err)
	}
}
