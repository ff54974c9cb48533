package server

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/redisstore"
	"github.com/pgidem/pgidem/torture/history"
	"github.com/pgidem/pgidem/torture/ledger"
	"github.com/pgidem/pgidem/torture/plan"
	"github.com/pgidem/pgidem/txstore"
)

// stack is all that a server's routes stand on.
type stack struct {
	settings Settings
	pool     *pgxpool.Pool
	mux      *http.ServeMux
	sweeps   []func(context.Context)
	closes   []func() // in the order in which they were opened
}

// isolation is what the levels of the routes are to pgx.
var isolation = map[plan.Level]pgx.TxIsoLevel{
	plan.ReadCommitted:  pgx.ReadCommitted,
	plan.RepeatableRead: pgx.RepeatableRead,
	plan.Serializable:   pgx.Serializable,
}

func open(ctx context.Context, s Settings) (*stack, error) {
	k := &stack{settings: s, mux: http.NewServeMux()}
	config, err := pgxpool.ParseConfig(s.DatabaseURL)
	if err != nil {
		return nil, err
	}
	config.MaxConns = poolSize
	config.ConnConfig.ConnectTimeout = storeTimeout
	config.ConnConfig.RuntimeParams["application_name"] = fmt.Sprintf("server %d", s.Number)
	if s.Mode != history.Transactional {
		// Its transactions have no store that sees to this.
		config.ConnConfig.RuntimeParams["idle_in_transaction_session_timeout"] = fmt.Sprint(maxHandlerTime.Milliseconds())
	}
	if k.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return nil, err
	}
	k.closes = append(k.closes, k.pool.Close)
	return k, k.openStores()
}

func (k *stack) openStores() error {
	switch {
	case k.settings.Broken != "":
		return k.openBroken()
	case k.settings.Mode == history.Redis:
		return k.openRedis()
	}
	for _, level := range plan.Levels {
		store, err := k.openPostgres(level)
		if err != nil {
			return err
		}
		if k.settings.Mode == history.Leased {
			k.serve(level, store.Leased(), k.inOwnTx(level))
		} else {
			k.serve(level, store, store.InTx)
		}
	}
	return nil
}

func (k *stack) openPostgres(level plan.Level) (*txstore.Store, error) {
	store, err := txstore.New(k.pool, txstore.Config{
		IsoLevel: isolation[level], Lease: leaseTime, CommitTimeout: commitTimeout,
		AcquireTimeout: storeTimeout, ReserveTimeout: storeTimeout, PollInterval: pollInterval,
		ReplayCacheBytes: k.replayCacheBytes(),
	})
	if err != nil {
		return nil, err
	}
	k.closes = append(k.closes, store.Close)
	k.sweeps = append(k.sweeps, func(ctx context.Context) { _ = store.Run(ctx, sweepEvery) })
	return store, nil
}

// replayCacheBytes lets every second server replay from memory what it knows to
// live yet. A broken store shall be known by its flaw, not by what it stands on.
func (k *stack) replayCacheBytes() int64 {
	if k.settings.Broken == "" && k.settings.Number%2 == 0 {
		return replayCache
	}
	return 0
}

func (k *stack) openRedis() error {
	options, err := redis.ParseURL(k.settings.RedisURL)
	if err != nil {
		return err
	}
	options.DialTimeout, options.ReadTimeout, options.WriteTimeout = storeTimeout, storeTimeout, storeTimeout
	client := redis.NewClient(options)
	k.closes = append(k.closes, func() { _ = client.Close() })
	store, err := redisstore.New(client, redisstore.Config{Lease: leaseTime, CallTimeout: storeTimeout, PollInterval: pollInterval})
	if err != nil {
		return err
	}
	k.closes = append(k.closes, store.Close)
	k.serveAll(store)
	return nil
}

// serveAll serves all levels over one store that leaves transactions to the
// handler.
func (k *stack) serveAll(store idem.Store) {
	for _, level := range plan.Levels {
		k.serve(level, store, k.inOwnTx(level))
	}
}

func (k *stack) serve(level plan.Level, store idem.Store, inTx ledger.InTx) {
	for _, records := range []Records{{TTL: TTL}, {TTL: BriefTTL}, {TTL: BriefTTL, Remember: TTL}} {
		protect := idem.RESTMiddleware(idem.Config{
			Store: store, Scope: tenant, Required: true, DefaultTTL: records.TTL, RememberExpired: records.Remember,
			MaxHandlerTime: maxHandlerTime, WaitTimeout: waitTimeout,
		})
		k.mux.Handle("POST "+Path(level, records), protect(&ledger.Handler{InTx: inTx, Server: k.settings.Number}))
	}
}

// Records is how long a route keeps its records, and their keys after them.
type Records struct{ TTL, Remember time.Duration }

// RecordsOf are those of the route for o.
func RecordsOf(o plan.Operation) Records {
	switch {
	case o.Remembered:
		return Records{TTL: BriefTTL, Remember: TTL}
	case o.Brief:
		return Records{TTL: BriefTTL}
	}
	return Records{TTL: TTL}
}

// Path is the route of a level for payments whose records live so long.
func Path(level plan.Level, records Records) string {
	return fmt.Sprintf("/%s/payments/%v/%v", level, records.TTL, records.Remember)
}

func tenant(r *http.Request) (string, error) {
	return strings.TrimSpace(r.Header.Get(ledger.TenantHeader)), nil
}

// close closes what was opened, the last first.
func (k *stack) close() {
	for i := len(k.closes) - 1; i >= 0; i-- {
		k.closes[i]()
	}
}
