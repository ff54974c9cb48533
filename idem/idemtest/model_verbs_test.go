package idemtest_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/pgidem/pgidem/idem"
)

func (m *model) Reserve(ctx context.Context, key, hash string, ttl time.Duration) (*idem.Cached, bool, error) {
	if ctx.Err() != nil && m.has("fresh after the deadline") {
		return nil, true, nil
	}
	if err := m.refuse(ctx, key); err != nil {
		return nil, false, err
	}
	key = m.stored(key)
	for waited := false; ; waited = true {
		existing, fresh, changed, err := m.look(ctx, key, hash, ttl, waited)
		if changed == nil {
			return existing, fresh, err
		}
		if m.has("leaves a goroutine") {
			go func() { <-m.stopped }()
		}
		select {
		case <-changed:
		case <-m.poll():
		case <-ctx.Done():
			return nil, false, m.ended(ctx, true)
		}
		if err := m.refuse(ctx, key); err != nil {
			return nil, false, err
		}
	}
}

// stored is the key as the model keeps it.
func (m *model) stored(key string) string {
	switch {
	case m.has("folds case"):
		return strings.ToLower(key)
	case m.has("cuts long keys"):
		return key[:min(len(key), idem.MaxKeyBytes-1)]
	case m.has("drops what is not ASCII"):
		return strings.Map(func(r rune) rune {
			if r > 0x7e {
				return -1
			}
			return r
		}, key)
	}
	return key
}

// look answers a Reserve, or returns the channel to wait on.
func (m *model) look(ctx context.Context, key, hash string, ttl time.Duration, waited bool) (*idem.Cached, bool, <-chan struct{}, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.entries[key]
	if m.nested(ctx, e) {
		return nil, false, nil, idem.ErrNested
	}
	if err := m.tombstone(ctx, key, hash, e); err != nil {
		return nil, false, nil, err
	}
	switch {
	case e != nil && e.everyones:
		return nil, true, nil, nil
	case e == nil, m.expired(e):
		if e != nil && e.hash != hash && m.has("compares with the expired") {
			return nil, false, nil, idem.ErrHashMismatch
		}
		m.reserve(ctx, key, hash, ttl, e)
		return nil, true, nil, nil
	case e.corrupt && !m.has("runs on a corrupt record"):
		return nil, false, nil, idem.ErrRecordUnreadable
	case e.corrupt:
		m.reserve(ctx, key, hash, ttl, nil)
		return nil, true, nil, nil
	case e.completed:
		return m.replay(e, hash), false, nil, nil
	case e.handedOn && waited:
		m.reserve(ctx, key, hash, ttl, nil)
		m.entries[key].fenceless = m.has("hands the reservation on")
		return nil, true, nil, nil
	}
	return m.mayWait(ctx, e, hash)
}

func (m *model) mayWait(ctx context.Context, e *entry, hash string) (*idem.Cached, bool, <-chan struct{}, error) {
	a, ok := idem.AttemptFromContext(ctx)
	switch {
	case e.hash != hash && m.has("another hash need not wait"):
		return nil, true, nil, nil
	case e.hash != hash && !m.has("ignores the hash in flight"):
		return nil, false, nil, idem.ErrHashMismatch
	case ok && a.NoWait() && !m.has("ignores NoWait"):
		return nil, false, nil, idem.ErrInFlight
	case m.has("does not wait"):
		return nil, false, nil, idem.ErrWaitTimeout
	}
	e.waiters++
	if m.has("one waiter only") && e.waiters > 1 || m.has("wakes nobody") {
		return nil, false, make(chan struct{}), nil
	}
	return nil, false, m.changed, nil
}

func (m *model) reserve(ctx context.Context, key, hash string, ttl time.Duration, before *entry) {
	e := &entry{hash: hash, owner: m.owner(ctx), ttl: ttl, leasedTo: m.now().Add(m.lease), before: before}
	e.remember = m.askedToRemember(ctx)
	if before != nil && m.has("keeps the first expiry") {
		e.expires = before.expires.Add(time.Minute)
	}
	if m.has("TTL from Reserve") {
		e.expires = m.now().Add(ttl)
	}
	if m.has("looks, then writes") {
		m.mu.Unlock()
		<-time.After(100 * time.Millisecond) // so that others look, also on a busy machine
		m.mu.Lock()
	}
	if a, ok := idem.AttemptFromContext(ctx); ok {
		a.Bind(bound{e})
	}
	m.entries[key] = e
	m.keep(ctx, key, e)
}

func (m *model) replay(e *entry, hash string) *idem.Cached {
	if m.has("shares what it replays") {
		return e.response
	}
	c := e.response.Clone()
	if m.has("tells the caller's own hash") {
		c.RequestHash = hash
	}
	return &c
}

func (m *model) Commit(ctx context.Context, key, hash string, response idem.Cached) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	key = m.stored(key)
	e := m.entries[key]
	switch {
	case e == nil && m.has("commits unreserved keys"):
		m.reserve(ctx, key, hash, time.Hour, nil)
		e = m.entries[key]
	case e == nil:
		return idem.ErrNotReserved
	case e.completed && e.hash != hash && !m.has("commit ignores the hash"):
		return idem.ErrHashMismatch
	case e.completed && m.has("refuses a second commit"):
		return idem.ErrNotReserved
	case e.completed && !m.has("last commit wins") && !m.has("commit revives the expired"):
		return nil
	case !e.completed && !m.owns(ctx, e):
		return idem.ErrNotReserved
	}
	if m.has("forgets") {
		delete(m.entries, key)
		return nil
	}
	e.hash, e.completed, e.response = hash, true, m.kept(hash, response)
	if e.expires.IsZero() || m.has("commit revives the expired") {
		e.expires = m.now().Add(e.ttl)
	}
	m.wake()
	return nil
}

// kept is the response as the model keeps it.
func (m *model) kept(hash string, response idem.Cached) *idem.Cached {
	c := response
	if !m.has("keeps the caller's memory") {
		c = response.Clone()
	}
	c.StoredAt = m.now()
	if !m.has("the field's hash wins") {
		c.RequestHash = hash
	}
	switch m.bug {
	case "every success is 200":
		c.Status = http.StatusOK
	case "sorts header values":
		for _, values := range c.Header {
			slices.Sort(values)
		}
	case "keeps one value a header":
		for name, values := range c.Header {
			c.Header[name] = values[:1]
		}
	case "body is text":
		c.Body = []byte(strings.ToValidUTF8(string(c.Body), "?"))
	case "empty body is null":
		if len(c.Body) == 0 {
			c.Body = []byte("null")
		}
	case "cuts long bodies":
		c.Body = c.Body[:min(len(c.Body), 1<<16)]
	case "StoredAt is zero":
		c.StoredAt = time.Time{}
	case "StoredAt is the caller's":
		c.StoredAt = response.StoredAt
	}
	return &c
}

func (m *model) Release(ctx context.Context, key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	key = m.stored(key)
	e := m.entries[key]
	switch {
	case e == nil && m.has("release must find something"):
		return idem.ErrNotReserved
	case e != nil && m.has("remembers what was released"):
		e.completed, e.expires, e.response = true, m.now(), &idem.Cached{}
		m.wake()
		return nil
	case e == nil, e.completed && !m.has("release removes records"):
		return nil
	case !e.completed && !m.owns(ctx, e):
		return nil
	case m.has("released key is everyone's"):
		e.everyones = true
		m.wake()
		return nil
	case m.has("release keeps the hash"):
		e.owner = "nobody"
		return nil
	case (m.has("hands the key to the gone") || m.has("hands the reservation on")) && e.waiters > 0:
		e.handedOn = true
		m.wake()
		return nil
	case m.has("expired comes back") && e.before != nil:
		e.before.expires = m.clock.Add(time.Hour)
		m.entries[key] = e.before
		return nil
	}
	delete(m.entries, key)
	if !m.has("release wakes nobody") {
		m.wake()
	}
	return nil
}
