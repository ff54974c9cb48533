package txstore

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/internal/convoy"
	"github.com/pgidem/pgidem/internal/replaycache"
	"github.com/pgidem/pgidem/internal/running"
)

// Store keeps idempotency records in PostgreSQL. It is safe for concurrent use,
// and any number of Stores, in any number of processes, may share one table.
//
// How the verbs of [idem.Store] work depends on their context:
//
//   - With an attempt, as under [idem.RESTMiddleware]: Reserve opens the
//     transaction that the handler runs in, Commit commits it together with the
//     response, Release rolls it back.
//   - With a transaction of the caller's own (see [WithTx]): they work inside
//     that transaction and never end it.
//   - With neither, and always through [Store.Leased]: a reservation is a row of
//     its own, a lease, committed before Reserve returns.
type Store struct {
	pool     *pgxpool.Pool
	config   Config
	table    atomic.Pointer[table]
	thorough atomic.Bool // sessions have time limits of their own; see opening
	flights  flights
	replays  *replaycache.Cache
	listener *listener
	running  *running.Counter
	detached atomic.Int32 // connections taken out of the pool with a COMMIT on them
	leased   *leasedStore

	expectations *expectations
	glances      *convoy.Convoy[*glance]
}

var _ idem.Store = (*Store)(nil)

// New returns a Store that works on connections of pool, which stays the
// caller's: close the Store first, then the pool. New connects to nothing and
// starts nothing: its error is about pool or config, and names the field. That
// the table is missing shows in the first Reserve.
func New(pool *pgxpool.Pool, config Config) (*Store, error) {
	config, err := config.withDefaults(pool)
	if err != nil {
		return nil, err
	}
	s := &Store{
		pool: pool, config: config, running: running.New(),
		replays: replaycache.New(config.ReplayCacheBytes), expectations: newExpectations(),
		glances: newGlances(pool.Stat().MaxConns()),
	}
	s.listener = newListener(s)
	s.leased = &leasedStore{s: s, plain: make(map[string]*leaseHold)}
	return s, nil
}

// Close makes every later Reserve return [idem.ErrStoreClosed], waits for the
// attempts that are running, at most Config.CloseTimeout, and ends what the
// Store has in the background. It may be called more than once.
//
// Call it after http.Server.Shutdown, which does not wait for a handler whose
// HTTP/2 client has gone.
func (s *Store) Close() {
	s.running.Close(s.config.CloseTimeout)
	s.listener.close()
}

func errClosed() error { return fmt.Errorf("txstore: %w", idem.ErrStoreClosed) }

// acquire takes a connection from the pool, within Config.AcquireTimeout. What
// goes wrong here says nothing about any key.
func (s *Store) acquire(ctx context.Context) (*pgxpool.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, s.config.AcquireTimeout)
	defer cancel()
	conn, err := s.pool.Acquire(ctx)
	if err == nil {
		return conn, nil
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return nil, err
	}
	pool := s.pool.Stat()
	return nil, fmt.Errorf("txstore: no connection (%d of the pool's %d are in use, Config.AcquireTimeout is %v): %w: %w",
		pool.AcquiredConns(), pool.MaxConns(), s.config.AcquireTimeout, idem.ErrStoreUnavailable, err)
}
