package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/pgidem/pgidem/torture/history"
	"github.com/pgidem/pgidem/torture/inject"
	"github.com/pgidem/pgidem/torture/plan"
	"github.com/pgidem/pgidem/torture/site"
)

// torment injects the faults of a plan at their times.
type torment struct {
	site *site.Site
	now  func() time.Duration

	// mu guards what follows.
	mu     sync.Mutex
	faults []history.Fault
	missed map[plan.Kind]missed
	failed error
	claims map[string]*sync.Mutex
}

// missed is how often a kind could not be injected, and why the last time.
type missed struct {
	count int
	why   error
}

// inflict returns when all faults have ended, or when ctx has and those under
// way are taken back. Its error says that one could not be taken back.
func (t *torment) inflict(ctx context.Context, faults []plan.Fault) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var under sync.WaitGroup
	for _, f := range faults {
		if !t.wait(ctx, f.At) {
			break
		}
		under.Go(func() {
			if err := t.inflictOne(ctx, f); err != nil {
				t.mu.Lock()
				t.failed = errors.Join(t.failed, err)
				t.mu.Unlock()
				cancel()
			}
		})
	}
	under.Wait()
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.failed
}

// wait returns at that time of the run, or tells that it is over before.
func (t *torment) wait(ctx context.Context, at time.Duration) bool {
	timer := time.NewTimer(at - t.now())
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (t *torment) inflictOne(ctx context.Context, f plan.Fault) error {
	for _, name := range f.Claims() {
		claim := t.claim(name)
		claim.Lock()
		defer claim.Unlock()
	}
	began := t.now()
	end, err := inject.Begin(ctx, t.site, f)
	if err != nil {
		t.miss(f.Kind, err)
		return nil
	}
	t.wait(ctx, max(began+f.Lasts, t.now()))
	if err := end(ctx); err != nil {
		return fmt.Errorf("%s cannot be taken back: %w", f.Kind, err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.faults = append(t.faults, history.Fault{Kind: string(f.Kind), Server: f.Server, At: began, Lasted: t.now() - began})
	return nil
}

// claim is held by a fault from its beginning to its end. The schedule keeps
// them apart, but to take one back can take longer than it thinks.
func (t *torment) claim(name string) *sync.Mutex {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.claims == nil {
		t.claims = make(map[string]*sync.Mutex)
	}
	if t.claims[name] == nil {
		t.claims[name] = new(sync.Mutex)
	}
	return t.claims[name]
}

func (t *torment) miss(kind plan.Kind, why error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.missed == nil {
		t.missed = make(map[plan.Kind]missed)
	}
	t.missed[kind] = missed{count: t.missed[kind].count + 1, why: why}
}

// injected returns the faults that have begun and ended until now.
func (t *torment) injected() []history.Fault {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.faults)
}
