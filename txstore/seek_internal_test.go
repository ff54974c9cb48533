package txstore

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/internal/running"
)

// Of a crowd whose deadlines end in one moment one after the other leads, and hardly
// gets to look before its own is there.
func TestFollowerKeepsWhatItHasSeen(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		happens    func(*flights, *flight)
		seen, want bool
	}{
		"Nothing":    {func(*flights, *flight) {}, true, true},
		"NeverSeen":  {func(*flights, *flight) {}, false, false},
		"LookFailed": {(*flights).markBlind, true, false},
		"HandlerRan": {func(fs *flights, f *flight) { fs.markRunning(f, "h") }, true, false},
	} {
		s := &Store{running: running.New()}
		f, _ := s.flights.join("k")
		s.flights.join("k")
		c.happens(&s.flights, f)
		s.flights.end(f, nil, nil)
		k := &seeker{store: s, key: "k", hash: "h", seen: c.seen}
		if cached, err := k.follow(t.Context(), f); cached != nil || err != nil || k.seen != c.want {
			t.Errorf("%s: %v, %v, seen %t", name, cached, err, k.seen)
		}
	}
}

// overdue is a context whose timer is late.
type overdue struct{ context.Context }

func (overdue) Deadline() (time.Time, bool) { return time.Now(), true }

func TestTimeThatIsOverIsNoOutage(t *testing.T) {
	t.Parallel()
	cut := errors.New("cut off by a timer of its own")
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range map[string]struct {
		ctx  context.Context
		seen bool
		want error
	}{
		"Overdue":   {overdue{t.Context()}, true, idem.ErrWaitTimeout},
		"NeverSeen": {overdue{t.Context()}, false, cut},
		"Cancelled": {overdue{cancelled}, true, cut},
		"InTime":    {t.Context(), true, cut},
	} {
		k := &seeker{seen: c.seen}
		if err := k.failed(c.ctx, cut); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}
