package txstore

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgidem/pgidem/idem"
)

// The wire format, for tests that look at it from outside.
const (
	KeyClass    = keyClass
	WaitClass   = waitClass
	WakeChannel = wakeChannel
)

// KeyNumber is h of key in the records table with that oid.
func KeyNumber(oid uint32, key string) int32 { return (&table{oid: oid}).hash(key) }

// Followers returns how many have joined the flight of key behind its leader.
func Followers(s *Store, key string) int {
	s.flights.mu.Lock()
	defer s.flights.mu.Unlock()
	if f := s.flights.byKey[key]; f != nil {
		return f.followers
	}
	return 0
}

// FillListener registers as many numbers as a Store may, and returns when the
// bound is reached.
func FillListener(s *Store) {
	for h := range int32(maxRegistered) {
		s.listener.register(h)
	}
}

// Listening tells whether the listener's goroutine runs.
func Listening(s *Store) bool {
	s.listener.mu.Lock()
	defer s.listener.mu.Unlock()
	return s.listener.ended != nil
}

// Waiting tells whether a caller here has seen key in flight elsewhere and waits.
func Waiting(s *Store, key string) bool {
	s.flights.mu.Lock()
	defer s.flights.mu.Unlock()
	f := s.flights.byKey[key]
	return f != nil && f.sightings > 0 && f.hash == ""
}

// SetCommitGrace shortens the time that a lease is renewed after its Commit has
// failed. It must be called before the first Reserve.
func SetCommitGrace(s *Store, grace time.Duration) { s.leased.commitGrace = grace }

// LookAt looks key up as Reserve does, and hands over the connection with the open
// transaction, and whether it has got the key's lock.
func LookAt(ctx context.Context, s *Store, key string, maxHandlerTime time.Duration, do func(conn *pgx.Conn, locked bool)) error {
	p, err := s.probe(ctx, key, s.config.IsoLevel, maxHandlerTime)
	if err != nil {
		return err
	}
	defer s.closeProbe(p)
	do(p.conn.Conn(), p.locked)
	return nil
}

// Renew renews the lease on key that ctx's attempt holds, as its keeper does.
func Renew(ctx context.Context, s *Store, key string) error {
	l, ok := s.boundLease(ctx, key)
	if !ok {
		return idem.ErrNotReserved
	}
	return l.renew(ctx)
}

// AwaitsStandby makes s treat commits as ones that wait for a standby. It must have
// been used before.
func AwaitsStandby(s *Store) {
	t := *s.table.Load()
	t.synchronous = true
	s.table.Store(&t)
}

// SettleAnew is settle of a Store that has to look for its table again.
func SettleAnew(ctx context.Context, s *Store, key, attemptID string) (there bool, err error) {
	s.table.Store(nil)
	return s.settle(ctx, key, attemptID)
}
