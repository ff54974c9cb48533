package turns_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pgidem/pgidem/bench/internal/contend"
	"github.com/pgidem/pgidem/bench/internal/turns"
)

// fake serves as it is told.
type fake func(contend.Request) (bool, error)

func (fake) Name() string                                               { return "fake" }
func (fake) Plays(contend.Workload) bool                                { return true }
func (f fake) Serve(_ context.Context, r contend.Request) (bool, error) { return f(r) }

var known = []string{"a", "b"}

func load(w contend.Workload) turns.Load {
	return turns.Load{Workload: w, Clients: 4, For: 20 * time.Millisecond, Known: known}
}

func TestFailedRequestFailsTheTurnAtOnce(t *testing.T) {
	t.Parallel()
	broke := errors.New("broke")
	endless := load(contend.Fresh)
	endless.For = time.Hour
	_, err := turns.Take(t.Context(), fake(func(contend.Request) (bool, error) { return false, broke }), endless)
	if !errors.Is(err, broke) || !strings.Contains(err.Error(), "fake") {
		t.Errorf("got %v, want the request's error with the contender's name", err)
	}
}

func TestContenderThatDoesSomethingElseIsCaught(t *testing.T) {
	t.Parallel()
	always := fake(func(contend.Request) (bool, error) { return true, nil })
	never := fake(func(contend.Request) (bool, error) { return false, nil })
	for _, c := range []struct {
		name     string
		workload contend.Workload
		fake     fake
		good     bool
	}{
		{"PaysForFresh", contend.Fresh, always, true},
		{"DoesNotPayForFresh", contend.Fresh, never, false},
		{"Replays", contend.Replay, never, true},
		{"PaysAgainForRetry", contend.Replay, always, false},
		{"PaysAgainForHotRetry", contend.Hot, always, false},
		{"PaysForAllDuplicates", contend.Storm, always, false},
		{"PaysForNoDuplicate", contend.Storm, never, false},
		{"PaysForOneDuplicate", contend.Storm, firstOnly(), true},
		{"DoesNotPayForMixed", contend.Mixed, never, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if _, err := turns.Take(t.Context(), c.fake, load(c.workload)); (err == nil) != c.good {
				t.Errorf("error %v, want one: %t", err, !c.good)
			}
		})
	}
}

func TestEveryClientSendsOnceAtLeast(t *testing.T) {
	t.Parallel()
	none := load(contend.Fresh)
	none.For = 0
	r, err := turns.Take(t.Context(), fake(func(contend.Request) (bool, error) { return true, nil }), none)
	if err != nil || r.Served != none.Clients {
		t.Errorf("%d requests of %d clients, error %v", r.Served, none.Clients, err)
	}
}

// firstOnly pays for the first request of each key.
func firstOnly() fake {
	var paid sync.Map
	return func(r contend.Request) (bool, error) {
		_, again := paid.LoadOrStore(r.Key, true)
		return !again, nil
	}
}

func TestResultCountsEveryAnswer(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	served := 0
	r, err := turns.Take(t.Context(), fake(func(contend.Request) (bool, error) {
		mu.Lock()
		defer mu.Unlock()
		served++
		return true, nil
	}), load(contend.Fresh))
	if err != nil || r.Served != served || r.Paid != served {
		t.Errorf("counted %d served and %d paid of %d, error %v", r.Served, r.Paid, served, err)
	}
	if rate := float64(served) / r.Elapsed.Seconds(); rate != r.PerSecond || r.P50 > r.P99 {
		t.Errorf("%v a second, want %v; percentiles %v and %v", r.PerSecond, rate, r.P50, r.P99)
	}
}
