package broken

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/pgidem/pgidem/idem"
)

// deaf takes every Commit for a success.
type deaf struct{ idem.Store }

func newDeaf(g Ground) Store { return Store{Store: deaf{g.Sound}, InTx: g.Sound.InTx} }

func (d deaf) Commit(ctx context.Context, key, requestHash string, response idem.Cached) error {
	_ = d.Store.Commit(ctx, key, requestHash, response)
	return nil
}

// eager hands a response to duplicates in its process from the moment on at
// which it is to be committed.
type eager struct {
	idem.Store
	responses sync.Map // of *idem.Cached, by key
}

func newEager(g Ground) Store { return Store{Store: &eager{Store: g.Sound}, InTx: g.Sound.InTx} }

func (e *eager) Reserve(ctx context.Context, key, requestHash string, ttl time.Duration) (*idem.Cached, bool, error) {
	if response, ok := e.responses.Load(key); ok {
		existing := response.(idem.Cached).Clone() //nolint:forcetypeassert // no other type is stored
		return &existing, false, nil
	}
	return e.Store.Reserve(ctx, key, requestHash, ttl)
}

func (e *eager) Commit(ctx context.Context, key, requestHash string, response idem.Cached) error {
	kept := response.Clone()
	kept.RequestHash = requestHash
	e.responses.Store(key, kept)
	return e.Store.Commit(ctx, key, requestHash, response)
}

// scopeless knows a key by what its client calls it, and thinks that equal keys
// stand for equal requests.
type scopeless struct{ idem.Store }

func newScopeless(g Ground) Store { return Store{Store: scopeless{g.Sound}, InTx: g.Sound.InTx} }

func (s scopeless) Reserve(ctx context.Context, key, requestHash string, ttl time.Duration) (*idem.Cached, bool, error) {
	existing, fresh, err := s.Store.Reserve(ctx, withoutScope(key), "", ttl)
	if existing != nil {
		existing.RequestHash = requestHash
	}
	return existing, fresh, err
}

func (s scopeless) Commit(ctx context.Context, key, _ string, response idem.Cached) error {
	return s.Store.Commit(ctx, withoutScope(key), "", response)
}

func (s scopeless) Release(ctx context.Context, key string) error {
	return s.Store.Release(ctx, withoutScope(key))
}

// hashless thinks that equal keys stand for equal requests.
type hashless struct{ idem.Store }

func newHashless(g Ground) Store { return Store{Store: hashless{g.Sound}, InTx: g.Sound.InTx} }

func (h hashless) Reserve(ctx context.Context, key, requestHash string, ttl time.Duration) (*idem.Cached, bool, error) {
	existing, fresh, err := h.Store.Reserve(ctx, key, "", ttl)
	if existing != nil {
		existing.RequestHash = requestHash
	}
	return existing, fresh, err
}

func (h hashless) Commit(ctx context.Context, key, _ string, response idem.Cached) error {
	return h.Store.Commit(ctx, key, "", response)
}

func withoutScope(key string) string { return key[strings.LastIndexByte(key, 0x1F)+1:] }

// headerless keeps one value of each header.
type headerless struct{ idem.Store }

func newHeaderless(g Ground) Store { return Store{Store: headerless{g.Sound}, InTx: g.Sound.InTx} }

func (h headerless) Commit(ctx context.Context, key, requestHash string, response idem.Cached) error {
	kept := response.Clone()
	for name := range kept.Header {
		kept.Header.Set(name, kept.Header.Get(name))
	}
	return h.Store.Commit(ctx, key, requestHash, kept)
}
