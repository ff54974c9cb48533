package idemtest_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/pgidem/pgidem/idem/idemtest"
)

// recorder is an idemtest.TB that only notes failures, so that a case can be
// seen failing by a test that passes.
type recorder struct {
	name   string
	ctx    context.Context
	cancel context.CancelFunc

	mu       sync.Mutex
	failures []string
	cleanups []func()
}

// observe runs a case to its end, clean-ups included, and returns its failures.
func observe(t *testing.T, c idemtest.Case, h idemtest.Harness) []string {
	t.Helper()
	r := &recorder{name: t.Name()}
	r.ctx, r.cancel = context.WithCancel(t.Context())
	r.run(func() { c.Run(r, h) })
	r.cancel()
	for f := r.pop(); f != nil; f = r.pop() {
		r.run(f)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failures
}

// run calls f in a goroutine of its own, which Fatalf may end.
func (r *recorder) run(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	<-done
}

func (r *recorder) pop() func() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.cleanups) == 0 {
		return nil
	}
	last := len(r.cleanups) - 1
	f := r.cleanups[last]
	r.cleanups = slices.Delete(r.cleanups, last, last+1)
	return f
}

func (r *recorder) Helper()                  {}
func (r *recorder) Name() string             { return r.name }
func (r *recorder) Context() context.Context { return r.ctx }
func (r *recorder) Logf(string, ...any)      {}

func (r *recorder) Cleanup(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cleanups = append(r.cleanups, f)
}

func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	message, _, _ := strings.Cut(fmt.Sprintf(format, args...), "\n")
	r.failures = append(r.failures, message)
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}
