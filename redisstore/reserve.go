package redisstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pgidem/pgidem/idem"
)

// request is one Reserve on its way.
type request struct {
	store   *Store
	ctx     context.Context // of the Reserve, whose frame the request does not outlive
	key     string
	hash    string
	ttl     time.Duration
	came    time.Time
	attempt *idem.Attempt // nil: none
	id      string
	seen    bool      // the key was seen in flight
	looked  bool      // at the key, with a plain command
	listens bool      // a message that the attempt in flight has ended would be heard
	asked   time.Time // when the last probe was
	// until is when what that found may have expired, by this process's monotonic
	// clock and no later than by the server's: the word of it can take long to come.
	// It is zero if nothing was found.
	until time.Time

	name  any    // of the Redis key
	lease string // the record of it
}

// Reserve implements [idem.Store]. The hash of the attempt in flight is compared
// at once. Duplicates in one process share one look and one wait; where a look found
// a record, a duplicate that came within 100 milliseconds after it was asked may be
// given one that has expired since, and a later one never. While the reservation is
// held its lease is renewed, for no longer than the attempt's MaxHandlerTime and
// one lease more if that is limited; when it is lost the attempt is told. Beside
// the errors of the interface it returns [idem.ErrRecordUnreadable].
func (s *Store) Reserve(ctx context.Context, key, requestHash string, ttl time.Duration) (existing *idem.Cached, fresh bool, err error) {
	if !s.running.Begin() {
		return nil, false, errClosed()
	}
	defer s.running.End()
	if err := s.refuse(ctx, key, ttl); err != nil {
		return nil, false, err
	}
	q := &request{store: s, ctx: ctx, key: key, hash: requestHash, ttl: ttl, came: time.Now()}
	q.attempt, _ = idem.AttemptFromContext(ctx)
	q.id = idOf(q.attempt)
	q.name, q.lease = s.redisKey(key), encodeLease(q.id, requestHash)
	if err := s.calls.wait(ctx, q.owner()); err != nil {
		return nil, false, err
	}
	if q.attempt != nil && q.attempt.NoWait() {
		return q.once()
	}
	return q.share()
}

// idOf returns the attempt's id, or a new one of the same form.
func idOf(attempt *idem.Attempt) string {
	if attempt == nil {
		_, attempt = idem.WithAttempt(context.Background(), idem.AttemptConfig{})
	}
	return attempt.ID()
}

// once looks without waiting for anybody.
func (q *request) once() (*idem.Cached, bool, error) {
	found, err := q.probe()
	if err != nil || found.fresh || found.cached != nil {
		return found.cached, found.fresh, err
	}
	if err := q.mayWait(found); err != nil {
		return nil, false, err
	}
	return nil, false, idem.ErrInFlight
}

// share lets one of the process's requests for the key look and wait for all.
func (q *request) share() (*idem.Cached, bool, error) {
	for {
		f, leads := q.store.flights.join(q.key, q.hash, q.came)
		if leads {
			return q.lead(f)
		}
		if cached, err := q.follow(f); cached != nil || err != nil {
			return cached, false, err
		}
	}
}

func (q *request) lead(f *flight) (existing *idem.Cached, fresh bool, err error) {
	defer func() { q.store.flights.end(f, existing, q.until, q.shared(err)) }()
	var w *wait
	defer func() { w.stop() }()
	for {
		found, err := q.probe()
		if err != nil || found.fresh || found.cached != nil {
			return found.cached, found.fresh, err
		}
		if err := q.mayWait(found); err != nil {
			return nil, false, err
		}
		q.seen = true
		q.store.flights.markSeen(f)
		if w == nil {
			w = q.newWait(f)
		}
		if cached, err := w.next(found); cached != nil || err != nil {
			return cached, false, err
		}
	}
}

// shared returns err if it keeps every request for the key from its answer, and
// not this one alone.
func (q *request) shared(err error) error {
	switch {
	case errors.Is(err, idem.ErrRecordUnreadable), errors.Is(err, idem.ErrKeyExpired), errors.Is(err, idem.ErrHashMismatch):
		return err // all who follow have the same hash
	case errors.Is(err, idem.ErrStoreUnavailable) && q.ctx.Err() == nil:
		return err
	}
	return nil
}

// finding is what a probe met. With neither a response nor fresh the key is in
// flight.
type finding struct {
	fresh     bool
	cached    *idem.Cached
	attempt   string // in flight
	hash      string
	leaseLeft time.Duration
}

// probe looks the key up, and reserves it if it is free.
func (q *request) probe() (finding, error) {
	q.asked = time.Now()
	a, err := q.look()
	q.until = a.expiry(q.asked)
	switch {
	case err != nil && q.ctx.Err() != nil:
		return finding{}, waitEnded(q.ctx, q.seen)
	case err != nil:
		return finding{}, unavailable(err)
	case a.fresh() && time.Since(q.asked) >= q.store.config.Lease:
		// Somebody else may have the key by now.
		q.giveUp()
		return finding{}, fmt.Errorf("redisstore: %w: the reply took as long as Config.Lease, %v", idem.ErrStoreUnavailable, q.store.config.Lease)
	case a.kind == replyOwn && q.holds(), a.fresh() && !q.hold():
		return finding{}, idem.ErrNested
	case a.fresh():
		return finding{fresh: true}, nil
	case a.kind == replyHeld:
		return held(a)
	case a.kind == replyExpired:
		return finding{}, q.remembered(a.text)
	case a.kind == replyUnreadable:
		return finding{}, unreadable("it is not of this format")
	}
	return finding{}, fmt.Errorf("redisstore: %w: unknown reply %q", idem.ErrStoreUnavailable, a.kind)
}

// remembered says what it means that nothing but the key and its hash is left.
func (q *request) remembered(hash string) error {
	if hash != q.hash {
		return idem.ErrHashMismatch
	}
	return idem.ErrKeyExpired
}

func held(a reply) (finding, error) {
	r, err := decode(a.text)
	if err != nil {
		return finding{}, err
	}
	if r.completed {
		cached, err := r.cached()
		return finding{cached: cached}, err
	}
	left := time.Duration(a.number) * time.Microsecond
	return finding{attempt: r.attempt, hash: r.hash, leaseLeft: left}, nil
}

// mayWait says why the caller cannot wait for the attempt in flight.
func (q *request) mayWait(found finding) error {
	if _, inside := idem.Bound(q.ctx, func(r *reservation) bool { return r.id == found.attempt && r.key == q.key }); inside {
		return idem.ErrNested // it was reserved through another Store
	}
	if found.hash != q.hash {
		q.until = q.asked // it may have ended as soon as it was seen
		return idem.ErrHashMismatch
	}
	return nil
}
