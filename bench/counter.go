package main

import (
	"context"
	"net/url"
	"regexp"
	"strconv"

	"github.com/redis/go-redis/v9"

	"github.com/pgidem/pgidem/bench/internal/meter"
	"github.com/pgidem/pgidem/bench/internal/storm"
	"github.com/pgidem/pgidem/internal/wiretap"
)

// counter counts what a server executes.
type counter interface {
	// reset begins to count.
	reset(ctx context.Context) error
	// read returns how much was executed since reset.
	read(ctx context.Context) (int64, error)
	close()
}

// counter returns one for what the store has its records in, and the URL by which
// PostgreSQL must be reached meanwhile.
func (s *stage) counter(store string) (c counter, databaseURL string, err error) {
	if store == storm.Redis {
		return &commands{client: redis.NewClient(&redis.Options{Addr: s.redis.Addr()})}, s.url, nil
	}
	u, err := url.Parse(s.url)
	if err != nil {
		return nil, "", err
	}
	proxy, err := wiretap.Open(u.Host)
	if err != nil {
		return nil, "", err
	}
	u.Host = proxy.Addr()
	return &statements{proxy: proxy, wire: meter.Tap(proxy)}, u.String(), nil
}

// statements counts on the wire, BEGIN and COMMIT too: the server's own statistics
// miss those that were prepared.
type statements struct {
	proxy  *wiretap.Proxy
	wire   *meter.Wire
	before meter.Traffic
}

func (s *statements) reset(context.Context) error {
	s.before = s.wire.Read()
	return nil
}

func (s *statements) read(context.Context) (int64, error) {
	return s.wire.Read().Sub(s.before).Statements, nil
}

func (s *statements) close() { s.proxy.Close() }

// commands counts with INFO: what scripts call counts too.
type commands struct{ client *redis.Client }

func (c *commands) reset(ctx context.Context) error { return c.client.ConfigResetStat(ctx).Err() }

var calls = regexp.MustCompile(`cmdstat_(\S+):calls=(\d+)`)

func (c *commands) read(ctx context.Context) (n int64, err error) {
	info, err := c.client.Info(ctx, "commandstats").Result()
	for _, m := range calls.FindAllStringSubmatch(info, -1) {
		if m[1] != "info" && m[1] != "config|resetstat" {
			count, _ := strconv.ParseInt(m[2], 10, 64)
			n += count
		}
	}
	return n, err
}

func (c *commands) close() { _ = c.client.Close() }
