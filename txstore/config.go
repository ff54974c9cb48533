package txstore

import (
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgidem/pgidem/internal/duration"
	"github.com/pgidem/pgidem/internal/lease"
)

// Config says how a Store works. Its zero value is good for most. New refuses
// negative sizes, and durations that are negative or, but for CloseTimeout, so short
// that a unit seems to be missing. It is copied by New; changing it later has no effect.
type Config struct {
	// Schema is the schema of the records table. Set it where every [WithTx] comes
	// with a search_path of its own. One that does not exist is noticed by the first
	// Reserve.
	// Defaults to the one that the search_path of the pool's connections finds.
	Schema string
	// IsoLevel is the isolation level of the transactions that handlers run in:
	// pgx.ReadCommitted, pgx.RepeatableRead or pgx.Serializable.
	// Defaults to pgx.ReadCommitted.
	IsoLevel pgx.TxIsoLevel
	// AcquireTimeout bounds how long Reserve waits for a pool connection; then
	// the store is unavailable. At least a millisecond. Defaults to 5 seconds.
	AcquireTimeout time.Duration
	// ReserveTimeout bounds the round trip that looks a key up, and the one that
	// lets it go; then the connection is given up. At least a millisecond.
	// Defaults to 5 seconds.
	ReserveTimeout time.Duration
	// CommitTimeout bounds how long a client waits to learn the outcome of a
	// COMMIT; then it is told that the outcome is unknown. The COMMIT itself is
	// not cut off. At least a millisecond. Defaults to 10 seconds.
	CommitTimeout time.Duration
	// Lease is how long a reservation under a lease lasts without renewal. It is
	// renewed at a third of it while the handler runs. After a crash it is how
	// long the key stays in flight. From 10 milliseconds to a day.
	// Defaults to 30 seconds.
	Lease time.Duration
	// HoldAfterDiscard keeps a key in flight until its lease ends when nothing of
	// its attempt under a lease is kept, as after a 5xx or a panic, so that a retry
	// does not follow at once on an effect whose outcome nobody knows.
	// Defaults to false: a retry may run at once.
	HoldAfterDiscard bool
	// CloseTimeout bounds how long Close waits for running attempts.
	// Defaults to 30 seconds.
	CloseTimeout time.Duration
	// PollInterval is how often a waiter looks for itself when nobody tells it:
	// first after this long, then doubling to eight times as much, each with a
	// random half of it more or less. At least a millisecond; more than an hour is
	// an hour. Defaults to 250 milliseconds.
	PollInterval time.Duration
	// ReplayCacheBytes is how much memory the Store may use to keep completed
	// responses, so that the retries of a busy key need no database. A response
	// is served from memory until its record expires, and for a minute at most:
	// for that long the deletion of a record by hand goes unnoticed.
	// Defaults to 0: every replay is read from the database.
	ReplayCacheBytes int64
	// ListenConn, made by [pgx.ParseConfig], is the connection that notifications
	// are received on. Set it when the pool reaches the server through a pooler in
	// transaction mode, which cannot LISTEN. The pool's BeforeConnect does not see it.
	// Defaults to what the pool's own connections are made with.
	ListenConn *pgx.ConnConfig
	// DisableListen makes waiters poll only. Defaults to false.
	DisableListen bool
	// DisableLocks leaves advisory locks out, for servers that speak
	// PostgreSQL's protocol and have none. Duplicates then run side by side, and
	// the first to commit wins: effects stay exactly once, work does not. It
	// implies DisableListen. Every process on one table must agree.
	// Defaults to false.
	DisableLocks bool
	// OnError is told about trouble in the background that fails no request, as
	// a lost notification connection or a lease that could not be renewed. It must
	// not block; it may be called concurrently. Defaults to nil: nobody is told.
	OnError func(error)
}

const (
	defaultAcquireTimeout = 5 * time.Second
	defaultReserveTimeout = 5 * time.Second
	defaultCommitTimeout  = 10 * time.Second
	defaultLease          = 30 * time.Second
	defaultCloseTimeout   = 30 * time.Second
	defaultPollInterval   = 250 * time.Millisecond
)

// withDefaults returns c with its zero fields filled, or an error that names
// the field that is wrong.
func (c Config) withDefaults(pool *pgxpool.Pool) (Config, error) {
	if pool == nil {
		return c, errors.New("txstore: pool is nil: give New the pool that handlers write through")
	}
	switch c.IsoLevel {
	case "":
		c.IsoLevel = pgx.ReadCommitted
	case pgx.ReadCommitted, pgx.RepeatableRead, pgx.Serializable:
	default:
		return c, fmt.Errorf("txstore: Config.IsoLevel %q is none of read committed, repeatable read, serializable", c.IsoLevel)
	}
	if err := c.setTimes(); err != nil {
		return c, err
	}
	if c.ReplayCacheBytes < 0 {
		return c, fmt.Errorf("txstore: Config.ReplayCacheBytes is %d: it must not be negative", c.ReplayCacheBytes)
	}
	if c.OnError == nil {
		c.OnError = func(error) {}
	}
	c.DisableListen = c.DisableListen || c.DisableLocks
	if c.ListenConn != nil {
		if c.ListenConn.DialFunc == nil || c.ListenConn.LookupFunc == nil {
			return c, errors.New("txstore: Config.ListenConn was not made by pgx.ParseConfig, and nothing can connect with it: change what that returns")
		}
		c.ListenConn = c.ListenConn.Copy()
	}
	return c, nil
}

// setTimes fills the durations that are zero, or returns an error that names the
// one that is wrong.
func (c *Config) setTimes() error {
	err := duration.Fill("txstore",
		duration.Field{Name: "AcquireTimeout", Value: &c.AcquireTimeout, Default: defaultAcquireTimeout, Min: duration.Least},
		duration.Field{Name: "ReserveTimeout", Value: &c.ReserveTimeout, Default: defaultReserveTimeout, Min: duration.Least},
		duration.Field{Name: "CommitTimeout", Value: &c.CommitTimeout, Default: defaultCommitTimeout, Min: duration.Least},
		duration.Field{Name: "Lease", Value: &c.Lease, Default: defaultLease, Min: lease.Shortest, Max: lease.Longest},
		duration.Field{Name: "CloseTimeout", Value: &c.CloseTimeout, Default: defaultCloseTimeout},
		duration.Field{Name: "PollInterval", Value: &c.PollInterval, Default: defaultPollInterval, Min: duration.Least},
	)
	c.PollInterval = min(c.PollInterval, duration.LongestPoll)
	return err
}
