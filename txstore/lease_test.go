package txstore_test

import (
	"context"
	"errors"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/txstore"
)

// Round trips under a lease: one to reserve, one to commit, one to replay.
func TestLeaseTakesOneRoundTripToReserveAndOneToCommit(t *testing.T) {
	t.Parallel()
	p, proxy := newWorld(t, given{}).tapped(given{Conns: 1})
	store := p.store.Leased()
	request := func(key string) (reserve, commit int) {
		ctx, _ := idem.WithAttempt(t.Context(), idem.AttemptConfig{})
		reserve = trips(proxy, func() {
			if _, fresh, err := store.Reserve(ctx, key, "h", time.Hour); !fresh || err != nil {
				t.Fatalf("fresh %t, %v", fresh, err)
			}
		})
		commit = trips(proxy, func() {
			if err := store.Commit(ctx, key, "h", idem.Cached{Status: 201}); err != nil {
				t.Fatal(err)
			}
		})
		return reserve, commit
	}
	request("warm")
	if reserve, commit := request("counted"); reserve != 1 || commit != 1 {
		t.Errorf("%d round trips to reserve and %d to commit, want 1 and 1", reserve, commit)
	}
	replay := trips(proxy, func() {
		ctx, _ := idem.WithAttempt(t.Context(), idem.AttemptConfig{})
		if cached, _, err := store.Reserve(ctx, "counted", "h", time.Hour); cached == nil || err != nil {
			t.Fatalf("%v, %v; want a replay", cached, err)
		}
	})
	if replay != 1 {
		t.Errorf("a replay took %d round trips, want 1", replay)
	}
}

func TestHoldAfterDiscardKeepsTheKeyUntilItsLeaseEnds(t *testing.T) {
	t.Parallel()
	for _, hold := range []bool{false, true} {
		w := newWorld(t, given{Config: txstore.Config{HoldAfterDiscard: hold}})
		config := idem.DoConfig{Store: w.store.Leased(), WaitTimeout: -1}
		failed := errors.New("failed")
		run := func(err error) error {
			_, err = idem.Do(t.Context(), config, "k", "request", func(context.Context) (int, error) { return 1, err })
			return err
		}
		if err := run(failed); !errors.Is(err, failed) {
			t.Fatalf("hold %t: %v", hold, err)
		}
		err := run(nil)
		if hold && !errors.Is(err, idem.ErrInFlight) || !hold && err != nil {
			t.Errorf("hold %t: the retry is told %v", hold, err)
		}
		w.exec(`UPDATE pgidem_records SET leased_until = clock_timestamp() WHERE leased_until IS NOT NULL`)
		if err := run(nil); err != nil {
			t.Errorf("hold %t: after the lease %v", hold, err)
		}
	}
}

// Behaviour 26. Several processes sweep by themselves, until they are told to
// stop or their Store is closed.
func TestRunSweepsUntilItIsStopped(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	other := w.process(given{})
	ctx, cancel := context.WithCancel(t.Context())
	stopped, closed := make(chan error, 1), make(chan error, 1)
	go func() { stopped <- w.store.Run(ctx, 5*time.Millisecond) }()
	go func() { closed <- other.store.Run(t.Context(), 5*time.Millisecond) }()
	w.seed("alive", 10, false)
	for range 3 {
		w.seed("expired"+idem.NewAttemptID(), 100, true)
		eventually(t, "what has expired is swept", func() bool { return w.count(`SELECT count(*) FROM pgidem_records`) == 10 })
	}
	cancel()
	if err := <-stopped; !errors.Is(err, context.Canceled) {
		t.Errorf("Run ended with %v, want Canceled", err)
	}
	other.store.Close()
	if err := <-closed; !errors.Is(err, idem.ErrStoreClosed) {
		t.Errorf("Run of a closed Store ended with %v, want ErrStoreClosed", err)
	}
	if err := w.store.Run(t.Context(), 0); err == nil {
		t.Error("Run without an interval is accepted")
	}
}

// Who writes the greatest duration means never, and no random half of it more may be
// a negative one.
func TestRunOnceInThreeCenturiesDoesNotSweepNow(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	w.seed("expired", 10, true)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if err := w.store.Run(ctx, math.MaxInt64); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Run ended with %v", err)
			}
		})
	}
	all.Wait()
	if n := w.count(`SELECT count(*) FROM pgidem_records`); n != 10 {
		t.Errorf("%d of 10 expired records are left", n)
	}
}

// One who waits for a lease reads the row and leaves it alone: a lock on it, for
// each of its looks, would be written to the log and flushed.
func TestWaitingForALeaseWritesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	owner, _ := idem.WithAttempt(t.Context(), idem.AttemptConfig{})
	if _, fresh, err := w.store.Leased().Reserve(owner, "k", "h", time.Hour); !fresh || err != nil {
		t.Fatalf("fresh %t, %v", fresh, err)
	}
	p := w.process(given{Config: txstore.Config{PollInterval: 20 * time.Millisecond}})
	waiting := make(chan reserved, 1)
	go func() {
		ctx, _ := idem.WithAttempt(t.Context(), idem.AttemptConfig{})
		var r reserved
		r.existing, r.fresh, r.err = p.store.Leased().Reserve(ctx, "k", "h", time.Hour)
		waiting <- r
	}()
	waits := func() bool { return txstore.Waiting(p.store, "k") }
	eventually(t, "it has looked in full", waits)
	locker := func() int { return w.count(`SELECT xmax::text::bigint FROM pgidem_records WHERE key = 'k'`) }
	before, looks := locker(), p.pool.Stat().AcquireCount()
	eventually(t, "it has looked again", func() bool { return p.pool.Stat().AcquireCount() >= looks+5 })
	if after := locker(); after != before {
		t.Errorf("the row was locked by %d and then by %d", before, after)
	}
	if err := w.store.Leased().Commit(owner, "k", "h", idem.Cached{Status: 201, Body: []byte("paid")}); err != nil {
		t.Fatal(err)
	}
	if got := await(t, "the answer", waiting).body(); got != "paid" {
		t.Errorf("the waiter got %s", got)
	}
}
