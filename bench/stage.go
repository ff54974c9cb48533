package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"

	"github.com/pgidem/pgidem/bench/internal/contend"
	"github.com/pgidem/pgidem/bench/internal/delayline"
	"github.com/pgidem/pgidem/bench/internal/machine"
	"github.com/pgidem/pgidem/internal/pgserver"
	"github.com/pgidem/pgidem/internal/redisserver"
	"github.com/pgidem/pgidem/internal/testenv"
)

// stage is what a measurement stands on: the servers, with default durability on
// disk, a database of its own, and all that must be closed in the end.
type stage struct {
	postgres *pgserver.Server
	redis    *redisserver.Server // nil unless asked for
	url      string
	facts    machine.Facts
	closers  []func()
}

// databaseName is of a database that only bench uses, and begins with.
const databaseName = "pgidem_bench"

// origin is a way to find a PostgreSQL.
type origin func(context.Context, pgserver.Options) (*pgserver.Server, error)

var (
	// anyServer may be in a container, or somebody else's.
	anyServer origin = testenv.Postgres
	// ownServer is a process on this machine, whose files and processor time can
	// be looked at.
	ownServer origin = pgserver.StartOrInstall
)

// openStage finds or starts a PostgreSQL with the settings, and makes a database.
func openStage(ctx context.Context, from origin, settings ...string) (_ *stage, err error) {
	s := &stage{facts: machine.Look()}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	options := pgserver.Options{Durable: true, Settings: append([]string{"max_connections=800"}, settings...)}
	if s.postgres, err = from(ctx, options); err != nil {
		return nil, err
	}
	s.onClose(func() { _ = s.postgres.Stop() })
	admin, err := pgx.Connect(ctx, s.postgres.URL())
	if err != nil {
		return nil, err
	}
	defer func() { _ = admin.Close(context.WithoutCancel(ctx)) }()
	for _, sql := range []string{"DROP DATABASE IF EXISTS " + databaseName + " WITH (FORCE)", "CREATE DATABASE " + databaseName} {
		if _, err := admin.Exec(ctx, sql); err != nil {
			return nil, err
		}
	}
	s.onClose(func() { dropDatabase(s.postgres.URL()) })
	if s.url, err = changeURL(s.postgres.URL(), func(u *url.URL) { u.Path = "/" + databaseName }); err != nil {
		return nil, err
	}
	return s, s.look(ctx)
}

func (s *stage) look(ctx context.Context) error {
	pool, err := contend.Pool(ctx, s.url, 1)
	if err != nil {
		return err
	}
	defer pool.Close()
	return s.facts.AskPostgres(ctx, pool)
}

// dropDatabase leaves a server that is not ours as it was.
func dropDatabase(serverURL string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	admin, err := pgx.Connect(ctx, serverURL)
	if err != nil {
		return
	}
	defer func() { _ = admin.Close(ctx) }()
	_, _ = admin.Exec(ctx, "DROP DATABASE IF EXISTS "+databaseName+" WITH (FORCE)")
}

// openRedis starts a Redis beside it, that flushes its append-only file each
// second as it does by default. Were it to flush each write, the disk would be
// measured, and all ratios were near 1.
func (s *stage) openRedis(ctx context.Context) (err error) {
	options := redisserver.Options{Durable: true, Settings: []string{"appendfsync everysec"}}
	if s.redis, err = redisserver.Find(ctx, options); err != nil {
		return err
	}
	s.onClose(func() { _ = s.redis.Stop() })
	return s.facts.AskRedis(ctx, s.client(s.redis.Addr(), 1))
}

// onClose notes what to do in the end, before all that was noted earlier.
func (s *stage) onClose(f func()) { s.closers = append(s.closers, f) }

func (s *stage) close() {
	for i := len(s.closers) - 1; i >= 0; i-- {
		s.closers[i]()
	}
}

func (s *stage) pool(ctx context.Context, databaseURL string, conns int) (*pgxpool.Pool, error) {
	pool, err := contend.Pool(ctx, databaseURL, conns)
	if err == nil {
		s.onClose(pool.Close)
	}
	return pool, err
}

func (s *stage) client(addr string, conns int) *redis.Client {
	client := redis.NewClient(&redis.Options{Addr: addr, PoolSize: conns})
	s.onClose(func() { _ = client.Close() })
	return client
}

// line returns an address from which target is rtt away.
func (s *stage) line(ctx context.Context, target string, rtt time.Duration) (addr string, err error) {
	if rtt == 0 {
		return target, nil
	}
	line, err := delayline.Start(ctx, target, rtt/2)
	if err != nil {
		return "", err
	}
	s.onClose(func() { _ = line.Close() })
	return line.Addr(), nil
}

// distantURL is the database's URL from rtt away.
func (s *stage) distantURL(ctx context.Context, rtt time.Duration) (string, error) {
	u, err := url.Parse(s.url)
	if err != nil {
		return "", err
	}
	addr, err := s.line(ctx, u.Host, rtt)
	if err != nil {
		return "", err
	}
	return changeURL(s.url, func(u *url.URL) { u.Host = addr })
}

func changeURL(from string, change func(*url.URL)) (string, error) {
	u, err := url.Parse(from)
	if err != nil || u.Host == "" {
		return "", errors.Join(fmt.Errorf("%q is no URL of a server", from), err)
	}
	change(u)
	return u.String(), nil
}
