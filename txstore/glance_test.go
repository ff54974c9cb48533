package txstore_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgidem/pgidem/idem"
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

// come lets all retries come, and returns their answers once they have looked.
func (c *crowd) come() []<-chan reserved {
	c.Helper()
	answers := make([]<-chan reserved, c.size)
	for i := range answers {
		answers[i] = c.attempt(c.key(i)).start()
	}
	c.mustLook()
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

// A crowd of retries of many keys does not take all of the pool: handlers have the
// rest. Each gets its own record.
func TestLooksOfACrowdTravelTogether(t *testing.T) {
	t.Parallel()
	// Who has forgotten that a key is completed, as of a few of so many, takes a
	// connection to reserve it.
	const size, most = 200, 16 + 12
	c := newCrowd(t, size, given{Conns: 40})
	answers := c.come()
	if n := c.pool.Stat().AcquiredConns(); n > most {
		t.Errorf("%d retries hold %d connections, want %d at most", size, n, most)
	}
	c.free()
	for i, answer := range answers {
		c.mustReplay(i, <-answer)
	}
}

// What is wrong with one record concerns its own retry.
func TestRecordThatCannotBeReadConcernsItsOwnRetry(t *testing.T) {
	t.Parallel()
	c := newCrowd(t, 100, given{})
	c.free()
	c.exec(`UPDATE pgidem_records SET format = 99 WHERE key IN ('k-0', 'k-50', 'k-99')`)
	for range 5 {
		answers := make([]<-chan reserved, c.size)
		for i := range answers {
			answers[i] = c.attempt(c.key(i)).start()
		}
		for i, answer := range answers {
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

// While the pool has no connection, a retry whose client has gone hears so, and
// those that wait with it still get their answers once there is one.
func TestRetryWhoseClientHasGoneHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	c := newCrowd(t, 20, given{Conns: 1})
	c.free()
	conn, err := c.pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, leave := context.WithCancel(t.Context())
	gone := newAttempt(t, ctx, c.store, c.key(0), idem.AttemptConfig{}).start()
	eventually(t, "it waits for the pool", func() bool { return c.pool.Stat().EmptyAcquireCount() > 0 || waiting(c.pool) })
	answers := make([]<-chan reserved, c.size)
	for i := 1; i < c.size; i++ {
		answers[i] = c.attempt(c.key(i)).start()
	}
	leave()
	if got := <-gone; !errors.Is(got.err, context.Canceled) {
		t.Errorf("who has gone: %+v", got)
	}
	conn.Release()
	for i := 1; i < c.size; i++ {
		c.mustReplay(i, <-answers[i])
	}
}

// waiting gives a goroutine the time to come to the pool: it does not tell who
// waits until they have got what they wait for.
func waiting(*pgxpool.Pool) bool {
	time.Sleep(50 * time.Millisecond)
	return true
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
