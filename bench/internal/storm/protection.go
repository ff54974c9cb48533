package storm

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"

	"github.com/pgidem/pgidem/bench/internal/payment"
	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/redisstore"
	"github.com/pgidem/pgidem/txstore"
)

// protection is what stands before the handler in one process, and what the
// handler does behind it.
type protection struct {
	store idem.Store
	// pay does the handler's work and takes so long for it.
	pay func(ctx context.Context, took time.Duration) error
	// held returns how many pool connections are in use, without the handler's
	// own if it runs.
	held    func(runs bool) int
	closers []func()
}

// protections open what a Task can name.
var protections = map[string]func(Task) (*protection, error){
	Broadcast: openBroadcast,
	Transactional: func(t Task) (*protection, error) {
		return onPostgres(t, func(s *txstore.Store) idem.Store { return s })
	},
	Leased: func(t Task) (*protection, error) {
		return onPostgres(t, (*txstore.Store).Leased)
	},
	Redis: onRedis,
}

func (p *protection) onClose(f func()) { p.closers = append(p.closers, f) }

func (p *protection) close() {
	for i := len(p.closers) - 1; i >= 0; i-- {
		p.closers[i]()
	}
}

// poolConns is few: a wait that held a connection would be seen, and would keep
// others from theirs.
const poolConns = 4

// onPostgres opens a Store whose handlers work in its transaction if it has one,
// and else in one of their own.
func onPostgres(t Task, choose func(*txstore.Store) idem.Store) (*protection, error) {
	config, err := pgxpool.ParseConfig(t.Postgres)
	if err != nil {
		return nil, err
	}
	config.MaxConns = poolConns
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		return nil, err
	}
	store, err := txstore.New(pool, txstore.Config{})
	if err != nil {
		pool.Close()
		return nil, err
	}
	p := &protection{store: choose(store)}
	p.onClose(pool.Close)
	p.onClose(store.Close)
	p.pay = func(ctx context.Context, took time.Duration) error {
		return store.InTx(ctx, func(tx pgx.Tx) error {
			time.Sleep(took)
			return payment.Pay(ctx, tx)
		})
	}
	p.held = func(runs bool) int {
		held := int(pool.Stat().AcquiredConns())
		if runs {
			held--
		}
		return held
	}
	return p, nil
}

// onRedis opens a store beside the database that the handlers work in.
func onRedis(t Task) (*protection, error) {
	p, err := onPostgres(t, (*txstore.Store).Leased)
	if err != nil {
		return nil, err
	}
	client := redis.NewClient(&redis.Options{Addr: t.Redis, PoolSize: poolConns})
	p.onClose(func() { _ = client.Close() })
	store, err := redisstore.New(client, redisstore.Config{})
	if err != nil {
		p.close()
		return nil, err
	}
	p.onClose(store.Close)
	p.store = store
	inPostgres := p.held
	p.held = func(runs bool) int {
		stats := client.PoolStats()
		return inPostgres(runs) + int(stats.TotalConns-stats.IdleConns)
	}
	return p, nil
}
