package idemtest_test

import (
	"context"
	"time"

	"github.com/pgidem/pgidem/idem"
)

// askedToRemember is how long the attempt in ctx has expired keys remembered.
func (m *model) askedToRemember(ctx context.Context) time.Duration {
	a, ok := idem.AttemptFromContext(ctx)
	switch {
	case m.has("remembers unasked"):
		return time.Hour
	case ok:
		return a.RememberExpired()
	}
	return 0
}

// remembers tells whether e has expired and is not forgotten yet. The caller
// holds mu.
func (m *model) remembers(e *entry) bool {
	if e == nil || !e.completed || e.remember == 0 || m.has("forgets what has expired") {
		return false
	}
	until := e.expires.Add(e.remember)
	if m.has("remembers from Commit") {
		until = e.response.StoredAt.Add(e.remember)
	}
	return m.expired(e) && (m.now().Before(until) || m.has("remembers for ever"))
}

// tombstone is what a Reserve is told by what remains of e; nil if it may go on.
func (m *model) tombstone(ctx context.Context, key, hash string, e *entry) error {
	if e != nil && e.completed && e.remember > 0 && m.has("remembered is never replayed") {
		return idem.ErrKeyExpired
	}
	if !m.remembers(e) || m.has("remembers for those who ask") && m.askedToRemember(ctx) == 0 {
		return nil
	}
	if m.has("one look forgets") {
		delete(m.entries, key)
	}
	if e.hash != hash && !m.has("tombstone without its hash") {
		return idem.ErrHashMismatch
	}
	return idem.ErrKeyExpired
}

// sweep removes what has expired.
func (m *model) sweep() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for key, e := range m.entries {
		if m.expired(e) && (!m.remembers(e) || m.has("sweep forgets")) {
			delete(m.entries, key)
		}
	}
}
