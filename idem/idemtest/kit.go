package idemtest

import (
	"sync"
	"time"

	"github.com/pgidem/pgidem/idem"
)

const (
	theKey    = "kit-key"
	hashA     = "hash-a"
	hashB     = "hash-b"
	ttl       = time.Hour
	tolerance = time.Minute // how far a running clock may get within a case
)

// kit is what one case works with: a store, and how to call it.
type kit struct {
	TB
	h     Harness
	store idem.Store
	plain bool // no attempt in the context

	mu   sync.Mutex
	open map[*attempt]bool // fresh, and neither committed nor released yet
}

func newKit(tb TB, h Harness, plain bool) *kit {
	tb.Helper()
	k := &kit{TB: tb, h: h, plain: plain, open: make(map[*attempt]bool)}
	k.store = h.NewStore(tb)
	// After NewStore, so that it runs before the store is closed: a case that
	// fails half-way must not hold the store's connections.
	tb.Cleanup(k.releaseOpen)
	return k
}

func (k *kit) releaseOpen() {
	k.mu.Lock()
	var open []*attempt
	for a := range k.open {
		open = append(open, a)
	}
	k.mu.Unlock()
	for _, a := range open {
		_ = a.release() // the case is decided already
	}
}

func (k *kit) setOpen(a *attempt, open bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if open {
		k.open[a] = true
	} else {
		delete(k.open, a)
	}
}

// attempt returns a new attempt on key, not yet reserved.
func (k *kit) attempt(key string) *attempt {
	return k.attemptOn(k.store, key, idem.AttemptConfig{})
}

func (k *kit) attemptOn(store idem.Store, key string, config idem.AttemptConfig) *attempt {
	ctx := k.Context()
	if !k.plain {
		ctx, _ = idem.WithAttempt(ctx, config)
	}
	return &attempt{k: k, store: store, ctx: ctx, key: key, hash: hashA}
}

// attempts returns n attempts on key.
func (k *kit) attempts(n int, key string) []*attempt {
	all := make([]*attempt, n)
	for i := range all {
		all[i] = k.attempt(key)
	}
	return all
}

// fresh returns an attempt that has reserved key.
func (k *kit) fresh(key string) *attempt {
	k.Helper()
	a := k.attempt(key)
	a.mustBeFresh()
	return a
}

// recorded makes a completed record of response under key.
func (k *kit) recorded(key string, response idem.Cached) *attempt {
	k.Helper()
	a := k.fresh(key)
	a.mustCommit(response)
	return a
}

// mustReplay demands that a new attempt on key is given want.
func (k *kit) mustReplay(key string, want idem.Cached) *idem.Cached {
	k.Helper()
	return k.attempt(key).mustReplay(want)
}

// mustBeFree demands that key can be reserved, and gives it back.
func (k *kit) mustBeFree(key string) {
	k.Helper()
	k.fresh(key).mustRelease()
}

// moment lets a moment pass in which something would show that must not happen.
func (k *kit) moment() { <-time.After(moment) }

// within runs call, and ends the case if it takes longer than it ever should.
func within[T any](k *kit, what string, call func() T) T {
	k.Helper()
	done := make(chan T, 1)
	go func() { done <- call() }()
	return await(k, what, done)
}

func await[T any](k *kit, what string, done <-chan T) T {
	k.Helper()
	select {
	case got := <-done:
		return got
	case <-time.After(k.h.patience()):
		k.Fatalf("%s did not return within %v", what, k.h.patience())
		panic("unreachable: Fatalf returned")
	}
}
