package idem

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
)

const secret = "password=hunter2"

var problems = map[string]struct {
	err    error
	status int
	name   string
	retry  bool
}{
	"KeyMissing":        {ErrKeyMissing, 400, "key-missing", false},
	"KeyInvalid":        {fmt.Errorf("%w: %s", ErrKeyInvalid, secret), 400, "key-invalid", false},
	"ScopeDenied":       {fmt.Errorf("%w: %s", ErrScopeDenied, secret), 403, "scope-denied", false},
	"ScopeStoreDown":    {fmt.Errorf("%w: %w", ErrScopeDenied, ErrStoreUnavailable), 403, "scope-denied", false},
	"RequestTooLarge":   {ErrRequestTooLarge, 413, "request-too-large", false},
	"RequestUnreadable": {fmt.Errorf("%w: %w: %s", ErrRequestUnreadable, context.Canceled, secret), 400, "request-unreadable", false},
	"KeyExpired":        {ErrKeyExpired, 409, "key-expired", false},
	"HashMismatch":      {ErrHashMismatch, 422, "hash-mismatch", false},
	"InFlight":          {ErrInFlight, 409, "in-flight", true},
	"TooManyRequests":   {fmt.Errorf("%w: %w", ErrTooManyRequests, ErrInFlight), 429, "too-many-requests", true},
	"WaitTimeout":       {ErrWaitTimeout, 409, "in-flight", true},
	"HandlerTimeout":    {errors.Join(ErrHandlerTimeout, fmt.Errorf("%w: %s", ErrStoreUnavailable, secret)), 503, "handler-timeout", true},
	"LeaseLost":         {ErrLeaseLost, 503, "lease-lost", true},
	"OutcomeUnknown":    {fmt.Errorf("%w: %s", ErrOutcomeUnknown, secret), 503, "outcome-unknown", true},
	"Nested":            {ErrNested, 500, "nested", false},
	"ResponseTooLarge":  {ErrResponseTooLarge, 500, "response-too-large", false},
	"TransactionEnded":  {ErrTransactionEnded, 500, "transaction-ended", false},
	"TransactionFailed": {&CommitError{Err: ErrTransactionFailed}, 500, "transaction-failed", false},
	"RecordUnreadable":  {fmt.Errorf("%w: %w", ErrStoreUnavailable, ErrRecordUnreadable), 500, "record-unreadable", false},
	"StoreUnavailable":  {fmt.Errorf("%w: %w: %s", ErrStoreUnavailable, context.DeadlineExceeded, secret), 503, "store-unavailable", true},
	"StoreClosed":       {ErrStoreClosed, 503, "store-unavailable", true},
	"CommitRetryable":   {&CommitError{Retryable: true, Err: errors.New(secret)}, 503, "commit-failed", true},
	"CommitFailed":      {&CommitError{Err: fmt.Errorf("%w %s", context.Canceled, secret)}, 500, "commit-failed", false},
	"Cancelled":         {context.Canceled, 503, "request-cancelled", true},
	"DeadlineExceeded":  {context.DeadlineExceeded, 503, "request-cancelled", true},
	"NotReserved":       {ErrNotReserved, 500, "internal", false},
	"Unknown":           {errors.New(secret), 500, "internal", false},
}

// Behaviour 32.
func TestProblemOfEveryError(t *testing.T) {
	t.Parallel()
	for name, c := range problems {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := httptest.NewRecorder()
			w.Header().Set("Content-Length", "1")
			WriteProblem(w, nil, c.err)
			var got map[string]any
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			if w.Code != c.status || got["status"] != float64(c.status) || got["type"] != ProblemTypeBase+c.name {
				t.Errorf("%d %s, want %d %s", w.Code, w.Body, c.status, c.name)
			}
			if title, _ := got["title"].(string); title == "" {
				t.Error("no title")
			}
			if strings.Contains(w.Body.String(), secret) || strings.Contains(w.Body.String(), "idem:") {
				t.Errorf("internal text in %s", w.Body)
			}
			seconds, err := strconv.Atoi(w.Header().Get("Retry-After"))
			if c.retry != (err == nil && seconds >= 1) {
				t.Errorf("Retry-After %q", w.Header().Get("Retry-After"))
			}
			if w.Header().Get("Content-Type") != "application/problem+json" || w.Header().Get("Content-Length") == "1" {
				t.Errorf("header %v", w.Header())
			}
		})
	}
}

func TestProblemTitlesBelongToTheirType(t *testing.T) {
	t.Parallel()
	titles := map[string]string{}
	for _, c := range problems {
		p := ProblemFor(c.err)
		if other, ok := titles[p.Type]; ok && other != p.Title {
			t.Errorf("%s has two titles: %q and %q", p.Type, other, p.Title)
		}
		titles[p.Type] = p.Title
	}
}
