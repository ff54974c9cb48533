package idem

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"
)

// Behaviour 53.
func TestWaitUntil(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		timeout, writeTimeout, deadline, elapsed time.Duration
		want                                     time.Duration
		noWait                                   bool
	}{
		"WaitTimeout":                 {timeout: 30 * time.Second, want: 30 * time.Second},
		"ShortWaitTimeout":            {timeout: time.Millisecond, want: time.Millisecond},
		"WriteTimeoutCuts":            {timeout: 30 * time.Second, writeTimeout: 10 * time.Second, want: 9 * time.Second},
		"WriteTimeoutRunsSinceBegun":  {timeout: 30 * time.Second, writeTimeout: 10 * time.Second, elapsed: 4 * time.Second, want: 5 * time.Second},
		"LongWriteTimeout":            {timeout: 30 * time.Second, writeTimeout: time.Hour, want: 30 * time.Second},
		"DeadlineCuts":                {timeout: 30 * time.Second, deadline: 3 * time.Second, want: 2 * time.Second},
		"NearerOfBoth":                {timeout: 30 * time.Second, deadline: 5 * time.Second, writeTimeout: 4 * time.Second, want: 3 * time.Second},
		"WriteTimeoutLeavesNoWait":    {timeout: 30 * time.Second, writeTimeout: time.Second, want: time.Second, noWait: true},
		"WriteTimeoutUsedUp":          {timeout: 30 * time.Second, writeTimeout: 4 * time.Second, elapsed: 6 * time.Second, want: time.Second, noWait: true},
		"DeadlineLeavesNoWait":        {timeout: 30 * time.Second, deadline: 100 * time.Millisecond, want: time.Second, noWait: true},
		"Negative":                    {timeout: -1, want: 5 * time.Second, noWait: true},
		"NegativeAndDeadline":         {timeout: -1, deadline: 4 * time.Second, want: 3 * time.Second, noWait: true},
		"NegativeAndVeryNearDeadline": {timeout: -1, deadline: 1500 * time.Millisecond, want: time.Second, noWait: true},
		"Endless":                     {timeout: 1<<63 - 1, writeTimeout: 10 * time.Second, want: 9 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				begun := time.Now()
				time.Sleep(c.elapsed)
				ctx := context.WithValue(t.Context(), http.ServerContextKey, &http.Server{WriteTimeout: c.writeTimeout})
				if c.deadline > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, c.deadline)
					defer cancel()
				}
				r := httptest.NewRequestWithContext(ctx, "POST", "/", nil)
				until, noWait := waitUntil(r, begun, time.Now(), c.timeout)
				if got := time.Until(until); got != c.want || noWait != c.noWait {
					t.Errorf("%v, no wait %v; want %v, %v", got, noWait, c.want, c.noWait)
				}
			})
		})
	}
}
