package payments

import (
	"context"
	"log/slog"
	"maps"
	"net/http"
	"sync"

	"github.com/pgidem/pgidem/idem"
)

// Outcomes logs and counts how requests with a key ended. Its Observe is an
// idem.Config.Observer; as a handler it shows the counts. It is safe for
// concurrent use.
type Outcomes struct {
	logger *slog.Logger

	// mu guards counts.
	mu     sync.Mutex
	counts Counts
}

// Counts is what one process has counted since its start.
type Counts struct {
	// HandlerRuns is how often the handler ran for those requests.
	HandlerRuns int64 `json:"handler_runs"`
	// Outcomes counts requests by their outcome, and once more those that ended in
	// the background. The set of outcomes is closed, so they could as well label a
	// metric.
	Outcomes map[idem.Outcome]int64 `json:"outcomes"`
}

// NewOutcomes returns Outcomes that have counted nothing.
func NewOutcomes(logger *slog.Logger) *Outcomes {
	return &Outcomes{logger: logger, counts: Counts{Outcomes: make(map[idem.Outcome]int64)}}
}

// Observe counts and logs one event. Keys may mean something to those who chose
// them, so the log has only their digest.
func (o *Outcomes) Observe(ctx context.Context, e idem.Event) {
	o.mu.Lock()
	o.counts.HandlerRuns += int64(e.Runs)
	o.counts.Outcomes[e.Outcome]++
	o.mu.Unlock()
	attrs := []slog.Attr{
		slog.String("outcome", string(e.Outcome)),
		slog.Bool("late", e.Late),
		slog.Int("status", e.Status),
		slog.String("key_digest", e.KeyDigest),
		slog.Int("runs", e.Runs),
		slog.Duration("reserve", e.Reserve),
		slog.Duration("duration", e.Duration),
	}
	if e.Err != nil {
		attrs = append(attrs, slog.Any("err", e.Err))
	}
	o.logger.LogAttrs(ctx, level(e), "idempotent request", attrs...)
}

// level makes a warning of what is the server's fault. After a panic there was
// no status; nor has an end in the background one, which is a fault with an error.
func level(e idem.Event) slog.Level {
	fault := e.Status == 0 || e.Status >= http.StatusInternalServerError
	if e.Late {
		fault = e.Err != nil
	}
	if fault {
		return slog.LevelWarn
	}
	return slog.LevelInfo
}

// Counts returns a copy of the counts.
func (o *Outcomes) Counts() Counts {
	o.mu.Lock()
	defer o.mu.Unlock()
	return Counts{HandlerRuns: o.counts.HandlerRuns, Outcomes: maps.Clone(o.counts.Outcomes)}
}

// ServeHTTP answers with the counts as JSON.
func (o *Outcomes) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, o.Counts())
}
