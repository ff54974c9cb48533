package history

import (
	"sync"
	"time"
)

// Recorder collects the requests of concurrent clients and tells them the time
// of the run.
type Recorder struct {
	start time.Time

	mu       sync.Mutex
	requests []Request // guarded by mu
}

// NewRecorder returns a Recorder whose clock starts now.
func NewRecorder() *Recorder {
	return &Recorder{start: time.Now()}
}

// Now is the time since the run began, by the monotonic clock.
func (r *Recorder) Now() time.Duration { return time.Since(r.start) }

// Add records a request that ended and gives it its ID. It is safe for
// concurrent use.
func (r *Recorder) Add(request Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	request.ID = int64(len(r.requests)) + 1
	r.requests = append(r.requests, request)
}

// Requests returns a copy of what was recorded until now.
func (r *Recorder) Requests() []Request {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Request(nil), r.requests...)
}
