package redisstore

import (
	"errors"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/pgidem/pgidem/internal/duration"
	"github.com/pgidem/pgidem/internal/lease"
)

// Config says how a Store works. Its zero value is good for most. New refuses
// durations that are negative or, but for CloseTimeout, so short that a unit seems to
// be missing. It is copied by New; changing it later has no effect.
type Config struct {
	// Prefix begins the name of every Redis key. Its empty braces make a Cluster
	// spread the records by their whole keys, whatever braces a client's key
	// has; keep them in a prefix of your own.
	// Defaults to "pgidem:{}:".
	Prefix string
	// Lease is how long a reservation lasts unless it is renewed, which happens
	// at each third of it while the handler runs. After a crash it is how long
	// the key stays in flight. From 10 milliseconds to a day.
	// Defaults to 30 seconds.
	Lease time.Duration
	// CallTimeout bounds each call of the server, with all that the client does
	// to repeat it; then the store is unavailable. The client may be busy with a
	// call that was given up for an eighth of it more. At least a millisecond.
	// Defaults to 5 seconds.
	CallTimeout time.Duration
	// CloseTimeout bounds how long Close waits for running attempts.
	// Defaults to 30 seconds.
	CloseTimeout time.Duration
	// PollInterval is how often a waiter looks for itself when nobody tells it:
	// first after this long, then doubling to eight times as much, each with a
	// random half of it more or less. At least a millisecond; more than an hour is
	// an hour. Defaults to 250 milliseconds.
	PollInterval time.Duration
	// DisableListen makes waiters poll only, without a connection for
	// notifications. Defaults to false.
	DisableListen bool
	// HoldAfterDiscard keeps a key in flight until its lease ends when nothing of
	// its attempt is kept, as after a 5xx or a panic, so that a retry does not follow
	// at once on an effect whose outcome nobody knows.
	// Defaults to false: a retry may run at once.
	HoldAfterDiscard bool
	// AllowEviction accepts a server that removes keys when its memory is full.
	// A record that is evicted is forgotten, and its request runs again.
	// Defaults to false: New refuses such a server.
	AllowEviction bool
	// OnError is told about trouble in the background that fails no request, as
	// a lost notification connection. It must not block; it may be called
	// concurrently. Defaults to nil: nobody is told.
	OnError func(error)
}

const (
	defaultPrefix       = "pgidem:{}:"
	defaultLease        = 30 * time.Second
	defaultCallTimeout  = 5 * time.Second
	defaultCloseTimeout = 30 * time.Second
	defaultPollInterval = 250 * time.Millisecond
)

// withDefaults returns c with its zero fields filled, or an error that names
// the field that is wrong.
func (c Config) withDefaults(client redis.UniversalClient) (Config, error) {
	if client == nil {
		return c, errors.New("redisstore: client is nil: give New the client of the server that keeps the records")
	}
	if err := c.setTimes(); err != nil {
		return c, err
	}
	if c.Prefix == "" {
		c.Prefix = defaultPrefix
	}
	if c.OnError == nil {
		c.OnError = func(error) {}
	}
	return c, nil
}

// setTimes fills the durations that are zero, or returns an error that names the
// one that is wrong.
func (c *Config) setTimes() error {
	err := duration.Fill("redisstore",
		duration.Field{Name: "Lease", Value: &c.Lease, Default: defaultLease, Min: lease.Shortest, Max: lease.Longest},
		duration.Field{Name: "CallTimeout", Value: &c.CallTimeout, Default: defaultCallTimeout, Min: duration.Least},
		duration.Field{Name: "CloseTimeout", Value: &c.CloseTimeout, Default: defaultCloseTimeout},
		duration.Field{Name: "PollInterval", Value: &c.PollInterval, Default: defaultPollInterval, Min: duration.Least},
	)
	c.PollInterval = min(c.PollInterval, duration.LongestPoll)
	return err
}
