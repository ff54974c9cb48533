package txstore_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/txstore"
)

// crowd are keys that a process has completed and whose retries all come at once,
// while somebody keeps every look at the table from its answer.
type crowd struct {
	*world
	size int
	free func() // lets the looks be answered
}

func newCrowd(t *testing.T, size int, g given) *crowd {
	t.Helper()
	c := &crowd{world: newWorld(t, g), size: size}
	for i := range size {
		a := c.attempt(c.key(i)).mustBeFresh()
		a.mustCommit("body of " + a.key)
	}
	tx, err := c.admin.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `LOCK TABLE pgidem_records IN ACCESS EXCLUSIVE MODE`); err != nil {
		t.Fatal(err)
	}
	c.free = func() {
		if err := tx.Rollback(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	}
	return c
}

func (c *crowd) key(i int) string { return fmt.Sprint("k-", i) }

// come lets all retries come, and returns their answers.
func (c *crowd) come() []<-chan reserved {
	answers := make([]<-chan reserved, c.size)
	for i := range answers {
		answers[i] = c.attempt(c.key(i)).start()
	}
	return answers
}

// mustLook waits until the looks of all can be under way.
func (c *crowd) mustLook() {
	c.Helper()
	const together = 32
	eventually(c, "the looks are under way", func() bool { return c.looking() >= (c.size+together-1)/together })
}

// looking is how many sessions wait for the table.
func (c *crowd) looking() int {
	return c.count(`SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'relation'
		AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`)
}

func (c *crowd) mustReplay(i int, got reserved) {
	c.Helper()
	if got.err != nil || got.fresh || got.body() != "body of "+c.key(i) {
		c.Errorf("%s: %q, fresh %t, error %v", c.key(i), got.body(), got.fresh, got.err)
	}
}

// A crowd of retries of many keys does not take all of the pool, but half of it and
// no more than sixteen: handlers have the rest. Each gets its own record.
func TestLooksOfACrowdTravelTogether(t *testing.T) {
	t.Parallel()
	// Some retries more take a connection, to reserve a key of which the Store has
	// forgotten that it is completed: the number of another has its place.
	for _, given := range []struct {
		retries, conns, looking, more int
	}{
		{200, 40, 16, 12},
		{20, 8, 4, 2},
		{5, 1, 1, 0},
	} {
		c := newCrowd(t, given.retries, givenConns(given.conns))
		answers := make([]<-chan reserved, c.size)
		for i := range answers {
			answers[i] = c.attempt(c.key(i)).start()
			if i < given.looking {
				eventually(t, "it looks", func() bool { return c.looking() > i })
			}
		}
		time.Sleep(50 * time.Millisecond) // it would look, too
		if n := int(c.pool.Stat().AcquiredConns()); n > given.looking+given.more {
			t.Errorf("%d retries hold %d connections of %d, want %d at most", c.size, n, given.conns, given.looking)
		}
		c.free()
		for i, answer := range answers {
			c.mustReplay(i, <-answer)
		}
	}
}

func givenConns(n int) given { return given{Conns: int32(n)} } //nolint:gosec // small

// What the server says to the look at one key concerns its own retry.
func TestLookThatIsRefusedConcernsItsOwnRetry(t *testing.T) {
	t.Parallel()
	c := newCrowd(t, 50, given{})
	c.free()
	c.exec(`ALTER TABLE pgidem_records RENAME TO kept;
		CREATE VIEW pgidem_records AS SELECT attempt_id, request_hash, format, status, header, body, stored_at, expires_at,
			forgotten_at, key, CASE WHEN key = 'k-25' THEN to_timestamp(1 / (length(key) - 4)) ELSE leased_until END AS leased_until FROM kept`)
	for range 5 {
		for i, answer := range c.come() {
			got := <-answer
			if i == 25 {
				if !errors.Is(got.err, idem.ErrStoreUnavailable) || !strings.Contains(got.err.Error(), "22012") {
					t.Errorf("%s: error %v", c.key(i), got.err)
				}
				continue
			}
			c.mustReplay(i, got)
		}
	}
}

// A pool that has no connection says so to all who have waited for one long
// enough, and not to one after the other.
func TestCrowdHearsThatThePoolHasNoConnection(t *testing.T) {
	t.Parallel()
	const limit = 300 * time.Millisecond
	c := newCrowd(t, 300, given{Conns: 1, Config: txstore.Config{AcquireTimeout: limit}})
	c.free()
	conn, err := c.pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	answers := c.come()
	began := time.Now()
	for i, answer := range answers {
		if got := <-answer; !errors.Is(got.err, idem.ErrStoreUnavailable) {
			t.Errorf("%s: %+v", c.key(i), got)
		}
	}
	if took := time.Since(began); took > 10*limit {
		t.Errorf("they heard after %v", took)
	}
	conn.Release()
	c.mustReplay(0, <-c.attempt(c.key(0)).start())
}

// What is wrong with one record concerns its own retry.
func TestRecordThatCannotBeReadConcernsItsOwnRetry(t *testing.T) {
	t.Parallel()
	c := newCrowd(t, 100, given{})
	c.free()
	c.exec(`UPDATE pgidem_records SET format = 99 WHERE key IN ('k-0', 'k-50', 'k-99')`)
	for range 5 {
		for i, answer := range c.come() {
			got := <-answer
			if i == 0 || i == 50 || i == 99 {
				if !errors.Is(got.err, idem.ErrRecordUnreadable) {
					t.Errorf("%s: error %v", c.key(i), got.err)
				}
				continue
			}
			c.mustReplay(i, got)
		}
	}
}

// The connections of those who carry the others' looks break. They go again on
// other ones, and nobody hears of it.
func TestLooksGoAgainWhenTheirConnectionBreaks(t *testing.T) {
	t.Parallel()
	c := newCrowd(t, 100, given{Conns: 40})
	answers := c.come()
	c.mustLook()
	c.exec(`SELECT pg_terminate_backend(pid) FROM pg_locks WHERE NOT granted AND locktype = 'relation'
		AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`)
	c.mustLook()
	c.free()
	for i, answer := range answers {
		c.mustReplay(i, <-answer)
	}
}

// The time of one retry is over while it, or another for it, is under way. It
// hears so at once, and the others are answered.
func TestRetryThatGivesUpConcernsNobodyElse(t *testing.T) {
	t.Parallel()
	c := newCrowd(t, 100, given{Conns: 40})
	answers := make([]<-chan reserved, c.size)
	impatient := func(i int) bool { return i%2 == 0 }
	began := time.Now()
	for i := range answers {
		ctx := t.Context()
		if impatient(i) {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, 300*time.Millisecond)
			defer cancel()
		}
		answers[i] = newAttempt(t, ctx, c.store, c.key(i), idem.AttemptConfig{}).start()
	}
	for i, answer := range answers {
		if impatient(i) {
			if got := <-answer; !errors.Is(got.err, idem.ErrStoreUnavailable) || errors.Is(got.err, idem.ErrWaitTimeout) {
				t.Errorf("%s: %+v", c.key(i), got)
			}
		}
	}
	if took := time.Since(began); took > defaultReserveTimeout*3/4 {
		t.Errorf("they heard after %v", took)
	}
	c.free()
	for i, answer := range answers {
		if !impatient(i) {
			c.mustReplay(i, <-answer)
		}
	}
}

const defaultReserveTimeout = 5 * time.Second

// While the pool has no connection, retries whose clients have gone hear so, and
// those that wait with them still get their answers once there is one. The second
// sets out for all when the first has gone, and has the others wait for it by then.
func TestRetryWhoseClientHasGoneHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	c := newCrowd(t, 20, given{Conns: 1})
	c.free()
	conn, err := c.pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const leaving = 2
	answers := make([]<-chan reserved, c.size)
	leave := make([]context.CancelFunc, leaving)
	for i := range answers {
		ctx := t.Context()
		if i < leaving {
			ctx, leave[i] = context.WithCancel(ctx)
		}
		answers[i] = newAttempt(t, ctx, c.store, c.key(i), idem.AttemptConfig{MaxHandlerTime: patience}).start()
		time.Sleep(20 * time.Millisecond) // it sets out or waits: nobody tells
	}
	for i := range leaving {
		leave[i]()
		if got := <-answers[i]; !errors.Is(got.err, context.Canceled) {
			t.Errorf("who has gone: %+v", got)
		}
		time.Sleep(20 * time.Millisecond) // the next sets out
	}
	conn.Release()
	for i := leaving; i < c.size; i++ {
		c.mustReplay(i, <-answers[i])
	}
}

// panicking is a tracer that panics once, when it is shown a batch of several
// looks.
type panicking struct {
	statements
	panicked atomic.Bool
}

func (p *panicking) TraceBatchStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceBatchStartData) context.Context {
	looks := data.Batch.QueuedQueries
	if len(looks) > 1 && looks[0].SQL == looks[1].SQL && !p.panicked.Swap(true) {
		panic("tracer")
	}
	return ctx
}

// A panic where one retry carries the others is that one's, and the pool has the
// connection back.
func TestPanicOfACarrierConcernsNobodyElse(t *testing.T) {
	t.Parallel()
	tracer := &panicking{}
	c := newCrowd(t, 50, given{Conns: 2, Pool: func(config *pgxpool.Config) { config.ConnConfig.Tracer = tracer }})
	c.free()
	var panics atomic.Int32
	for !tracer.panicked.Load() {
		var all sync.WaitGroup
		for i := range c.size {
			a := c.attempt(c.key(i))
			all.Go(func() {
				defer func() {
					if recover() != nil {
						panics.Add(1)
					}
				}()
				var got reserved
				got.existing, got.fresh, got.err = a.reserve()
				c.mustReplay(i, got)
			})
		}
		all.Wait()
	}
	if n := panics.Load(); n != 1 {
		t.Errorf("%d retries panicked", n)
	}
}
