package redisstore

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/internal/running"
)

// Store keeps idempotency records in Redis. It is safe for concurrent use, and
// any number of Stores, in any number of processes, may share one server and
// prefix.
//
// A reservation belongs to the attempt in Reserve's context. Without one it
// belongs to the Store: whoever calls Commit or Release for its key, without an
// attempt too, acts for it.
type Store struct {
	client   redis.UniversalClient
	config   Config
	flights  flights
	listener *listener
	running  *running.Counter
	live     live
	calls    calls
	sender   *sender
	patience patience

	// leaseMillis is how long the key of a lease lives, an int64: until an owner
	// that was cut off, and whom nobody followed, can no longer commit.
	leaseMillis any

	// scriptsOnly: the server does not know the plain SET that looks.
	scriptsOnly atomic.Bool
}

var _ idem.Store = (*Store)(nil)

// New returns a Store that works through client, which stays the caller's: close
// the Store first, then the client. It asks the server for its maxmemory-policy
// and refuses one that evicts records, unless Config.AllowEviction is set; a
// server that keeps its policy to itself is reported to Config.OnError. An error
// that is [idem.ErrStoreUnavailable] says that the server was not reached. New
// starts nothing.
func New(client redis.UniversalClient, config Config) (*Store, error) {
	config, err := config.withDefaults(client)
	if err != nil {
		return nil, err
	}
	s := &Store{client: client, config: config, running: running.New()}
	// The millisecond more makes up for those that the server's clock leaves out.
	s.leaseMillis = (config.Lease + staleTime).Milliseconds() + 1
	s.listener, s.sender, s.patience.limit = newListener(s), newSender(s), config.CallTimeout
	if err := s.checkPolicy(context.Background()); err != nil {
		return nil, err
	}
	return s, nil
}

// Close makes every later Reserve return [idem.ErrStoreClosed], waits for the
// attempts that are running, at most Config.CloseTimeout, and ends what the Store
// has in the background: leases that are still held are not renewed any more. It
// may be called more than once.
//
// Call it after http.Server.Shutdown, which does not wait for a handler whose
// HTTP/2 client has gone.
func (s *Store) Close() {
	s.running.Close(s.config.CloseTimeout)
	s.listener.close()
	s.live.stopAll()
	s.sender.crew.Close()
}

// Commit implements [idem.Store]. The record's TTL starts now. A lease that has
// ended is still committed if nobody took it over and an attempt holds it; otherwise,
// or if the reservation is gone, Commit returns [idem.ErrLeaseLost], and without an
// attempt [idem.ErrNotReserved]. After an error that is
// [idem.ErrStoreUnavailable] the Commit may have happened: calling it again is
// safe, and the lease is renewed meanwhile.
func (s *Store) Commit(ctx context.Context, key, requestHash string, response idem.Cached) error {
	r := s.reservationIn(ctx, key)
	c := newCall(ctx, commitScript, r.name,
		&r.lease, &r.ttl, &r.remember, encodeCompleted(r.id, requestHash, response), s.listener.publish)
	c.stays, c.notes, c.owner = true, &s.calls, owner{key, r.id}
	asked := time.Now()
	a, err := s.run(c)
	if err != nil {
		r.endLater()
		return unavailable(err)
	}
	s.tell(r, a, requestHash, response, asked)
	if err = committed(a, r, requestHash); errors.Is(err, idem.ErrStoreUnavailable) {
		r.endLater()
	} else {
		r.settle()
	}
	return err
}

// tell lets those who wait in this process know what the reply to a Commit that was
// asked at the given time means for them.
func (s *Store) tell(r *reservation, a reply, hash string, response idem.Cached, asked time.Time) {
	if a.kind != replyCommitted {
		// Their attempt in flight has ended, and how is on the server: it may have
		// committed before, in a call whose reply was lost.
		s.flights.poke(r.key)
		return
	}
	response.RequestHash, response.StoredAt = hash, serverTime(a.number)
	// The TTL was rounded up.
	s.flights.deliver(r.key, hash, response, asked.Add(time.Duration(r.ttl-1)*time.Millisecond))
}

// committed says what the reply to a Commit means for the owner of r.
func committed(a reply, r *reservation, hash string) error {
	switch a.kind {
	case replyCommitted:
		return nil
	case replyCompleted:
		switch {
		case a.text != hash:
			return idem.ErrHashMismatch
		case a.attempt != r.id && !r.plain:
			return idem.ErrSuperseded
		}
		return nil
	case replyUnreadable:
		return unreadable("it is not of this format")
	case replyNothing, replyLost:
		if r.reserved() {
			return idem.ErrLeaseLost
		}
		return idem.ErrNotReserved
	}
	return fmt.Errorf("redisstore: %w: unknown reply %q", idem.ErrStoreUnavailable, a.kind)
}

// Release implements [idem.Store]. With Config.HoldAfterDiscard it leaves the key
// in flight until the lease ends. An error that is [idem.ErrStoreUnavailable]
// means the same: the reservation ends by itself.
func (s *Store) Release(ctx context.Context, key string) error {
	r := s.reservationIn(ctx, key)
	if !r.reserved() {
		return nil
	}
	r.settle()
	if s.config.HoldAfterDiscard {
		return nil
	}
	c := s.releaseCall(ctx, key, r.id)
	c.stays, c.notes, c.owner = true, &s.calls, owner{key, r.id}
	_, err := s.run(c)
	s.flights.poke(key)
	if err != nil {
		return unavailable(err)
	}
	return nil
}

// releaseCall is the call that gives an attempt's reservation up.
func (s *Store) releaseCall(ctx context.Context, key, id string) *call {
	return newCall(ctx, releaseScript, s.redisKey(key), leaseHead(id), s.listener.publish)
}

// refuse returns why a Reserve cannot be served whatever the server holds.
func (s *Store) refuse(ctx context.Context, key string, ttl time.Duration) error {
	if err := ctx.Err(); err != nil {
		return waitEnded(ctx, false)
	}
	if ttl <= 0 {
		return fmt.Errorf("redisstore: ttl is %v: it must be positive", ttl)
	}
	if err := idem.ValidateKey(key); err != nil {
		return err
	}
	if r, ok := s.bound(ctx, key); ok && r.reserved() {
		return idem.ErrNested
	}
	return nil
}

// waitEnded says what the end of ctx means. Only who has seen the key in flight
// can speak of it; otherwise the time went by before the server could be asked.
func waitEnded(ctx context.Context, seen bool) error {
	switch {
	case !errors.Is(ctx.Err(), context.DeadlineExceeded):
		return ctx.Err()
	case seen:
		return idem.ErrWaitTimeout
	}
	return fmt.Errorf("redisstore: no answer in time: %w: %w", idem.ErrStoreUnavailable, ctx.Err())
}

// millis rounds up: the server ends no key earlier than asked.
func millis(d time.Duration) int64 {
	whole := d.Milliseconds()
	if d > time.Duration(whole)*time.Millisecond {
		whole++
	}
	return whole
}

func errClosed() error { return fmt.Errorf("redisstore: %w", idem.ErrStoreClosed) }
