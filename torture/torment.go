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
)

// torment injects the faults of a plan at their times.
type torment struct {
	begin func(context.Context, plan.Fault) (inject.End, error)
	now   func() time.Duration

	// mu guards what follows.
	mu     sync.Mutex
	faults []history.Fault
	missed map[plan.Kind]missed
	failed error
	claims map[string]*sync.Mutex
}

// missed is how often a kind has met nobody, and why the last time.
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
	giveUp := t.now() + f.Lasts + retryFor
	for tries := 1; ; tries++ {
		began := t.now()
		missed, err := t.try(ctx, f)
		again := missed != nil && !errors.Is(missed, inject.ErrImpossible)
		switch {
		case err != nil:
			return err
		case again && t.now() < giveUp && t.wait(ctx, t.now()+retryPause):
			continue
		}
		t.note(f, history.Fault{At: began, Lasted: t.now() - began, Tries: tries}, missed)
		return nil
	}
}

// A fault that meets nobody is tried again, for so much longer than it was to
// last and with such a pause.
const (
	retryFor   = 3 * time.Second
	retryPause = 20 * time.Millisecond
)

// try injects a fault once, from its beginning to its end. missed says why
// nobody has met it, err why it could not be taken back.
func (t *torment) try(ctx context.Context, f plan.Fault) (missed, err error) {
	until := t.now() + f.Lasts
	end, missed := t.begin(ctx, f)
	if missed != nil {
		return missed, nil
	}
	t.wait(ctx, max(until, t.now()))
	switch err := end(ctx); {
	case errors.Is(err, inject.ErrNoVictim):
		return err, nil
	case err != nil:
		return nil, fmt.Errorf("%s cannot be taken back: %w", f.Kind, err)
	}
	return nil, nil
}

// note keeps account of a fault that is over. One that is impossible here was
// none.
func (t *torment) note(f plan.Fault, done history.Fault, missed error) {
	if missed != nil {
		t.miss(f.Kind, missed)
	}
	if errors.Is(missed, inject.ErrImpossible) {
		return
	}
	done.Kind, done.Server, done.Missed = string(f.Kind), f.Server, missed != nil
	t.mu.Lock()
	defer t.mu.Unlock()
	t.faults = append(t.faults, done)
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
