package broken

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgidem/pgidem/idem"
)

// selfTimed judges by the clock of its process whether a record has expired. It
// is right as long as all clocks agree.
type selfTimed struct {
	idem.Store
	pool *pgxpool.Pool
}

func newSelfTimed(g Ground) Store {
	return Store{Store: selfTimed{Store: g.Sound, pool: g.Pool}, InTx: g.Sound.InTx}
}

func (s selfTimed) Reserve(ctx context.Context, key, requestHash string, ttl time.Duration) (*idem.Cached, bool, error) {
	existing, fresh, err := s.Store.Reserve(ctx, key, requestHash, ttl)
	if existing == nil || time.Since(existing.StoredAt) < ttl {
		return existing, fresh, err
	}
	if _, err := s.pool.Exec(ctx, `DELETE FROM pgidem_records WHERE key = $1`, key); err != nil {
		return nil, false, err
	}
	return s.Store.Reserve(ctx, key, requestHash, ttl)
}

// unforgetting replays from memory what it has once seen, and thinks that what
// was right then is right for ever.
type unforgetting struct {
	idem.Store
	responses sync.Map // of idem.Cached, by key
}

func newUnforgetting(g Ground) Store {
	return Store{Store: &unforgetting{Store: g.Sound}, InTx: g.Sound.InTx}
}

func (u *unforgetting) Reserve(ctx context.Context, key, requestHash string, ttl time.Duration) (*idem.Cached, bool, error) {
	if response, ok := u.responses.Load(key); ok {
		existing := response.(idem.Cached).Clone() //nolint:forcetypeassert // no other type is stored
		return &existing, false, nil
	}
	existing, fresh, err := u.Store.Reserve(ctx, key, requestHash, ttl)
	if existing != nil {
		u.responses.Store(key, existing.Clone())
	}
	return existing, fresh, err
}
