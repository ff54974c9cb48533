package storm_test

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pgidem/pgidem/bench/internal/payment"
	"github.com/pgidem/pgidem/bench/internal/storm"
	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/memory"
)

// Stores that are wrong for several processes.
const (
	// alone knows of its own process only.
	alone = "alone"
	// unfair turns one of a process's duplicates away.
	unfair = "unfair"
)

// The processes of a storm are this program again.
func TestMain(m *testing.M) {
	storm.Protect(alone, func(storm.Task) idem.Store { return memory.New(memory.Config{}) })
	storm.Protect(unfair, func(t storm.Task) idem.Store {
		return &turnsAway{Store: memory.New(memory.Config{}), task: t}
	})
	if storm.Child() {
		return
	}
	os.Exit(m.Run())
}

type turnsAway struct {
	idem.Store
	task storm.Task
	seen atomic.Int32
}

func (s *turnsAway) Reserve(ctx context.Context, key, hash string, ttl time.Duration) (*idem.Cached, bool, error) {
	if key == s.task.Key && s.seen.Add(1) == int32(s.task.Duplicates) {
		return nil, false, idem.ErrStoreUnavailable
	}
	return s.Store.Reserve(ctx, key, hash, ttl)
}

const duplicates = 20

// storms lets so many processes send one request each so often, and sums it up.
func storms(t *testing.T, store string, processes int) storm.Result {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	task := storm.Task{Store: store, Key: payment.NewKey(), Duplicates: duplicates, Handler: 100 * time.Millisecond}
	s, err := storm.Open(func() *exec.Cmd { return exec.CommandContext(t.Context(), self) }, task, processes)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	outcomes, err := s.Break(time.Now().Add(50 * time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	return storm.Sum(outcomes)
}

func TestBroadcastRunsOnceAndAnswersAll(t *testing.T) {
	t.Parallel()
	r := storms(t, storm.Broadcast, 2)
	if err := r.Check(2 * duplicates); err != nil {
		t.Error(err)
	}
	if r.Late[0] < 0 || r.Late[len(r.Late)-1] > 10_000 || r.Commit <= 0 {
		t.Errorf("answered between %.1f and %.1f ms after a Commit of %v", r.Late[0], r.Late[len(r.Late)-1], r.Commit)
	}
	if r.PerWaiter < 1000 {
		t.Errorf("each waiter takes %.0f bytes: less than its stack", r.PerWaiter)
	}
}

func TestSecondRunIsNoticed(t *testing.T) {
	t.Parallel()
	r := storms(t, alone, 2)
	if err := r.Check(2 * duplicates); r.Runs != 2 || err == nil {
		t.Errorf("%d runs and error %v of a store that knows one process", r.Runs, err)
	}
}

func TestMissingAnswerIsNoticed(t *testing.T) {
	t.Parallel()
	r := storms(t, unfair, 1)
	err := r.Check(duplicates)
	if len(r.Late) != duplicates-1 || err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("%d answers and error %v of a store that turns one away", len(r.Late), err)
	}
	if r.Failed = nil; r.Check(duplicates) == nil || r.Check(duplicates-1) != nil {
		t.Error("a duplicate without any answer is not missed")
	}
}

func TestUnknownStoreIsRefused(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := storm.Open(func() *exec.Cmd { return exec.Command(self) }, storm.Task{Store: "nobody"}, 1); err == nil {
		t.Error("a storm of an unknown store has opened")
	}
}

func TestAnswersAreCountedFromTheCommit(t *testing.T) {
	t.Parallel()
	at := time.Now()
	r := storm.Sum([]storm.Outcome{
		{Answered: []time.Time{at.Add(7 * time.Millisecond), at.Add(-time.Millisecond)}, Held: 1, Before: 100, Early: 600, Late: 900, After: 200},
		{Runs: 1, Committed: at, Commit: 2 * time.Millisecond, Answered: []time.Time{at.Add(3 * time.Millisecond)}},
	})
	if len(r.Late) != 3 || r.Late[0] != 0 || r.Late[1] != 3 || r.Late[2] != 7 {
		t.Errorf("answered after %v ms", r.Late)
	}
	if r.Commit != 2*time.Millisecond || r.Held != 1 || r.PerWaiter != 500./3 || r.Grown != 100 || r.Left != 100./3 {
		t.Errorf("%+v", r)
	}
}
