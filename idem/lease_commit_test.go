package idem_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/pgidem/pgidem/idem"
)

// commitStore fails the first Commits, one after the other, with errs.
func commitStore(t testing.TB, commits *atomic.Int64, errs ...error) hookedStore {
	return hookedStore{Store: newMemory(t), commit: func(context.Context) error {
		if n := commits.Add(1); n <= int64(len(errs)) {
			return errs[n-1]
		}
		return nil
	}}
}

// leasedAnswer is that of a handler with an effect, behind store.
func leasedAnswer(t *testing.T, store idem.Store, l *ledger, seen *events) (again func() answer) {
	srv := serve(t, idem.Config{Store: store, Observer: seen.observe}, func(w http.ResponseWriter, r *http.Request) {
		l.runs.Add(1)
		l.insert(r.Context())
		w.WriteHeader(201)
	})
	again = func() answer { return send(t, srv, request{key: "k"}) }
	if a := again(); a.status != 201 || a.replayed() {
		t.Errorf("answer %+v", a)
	}
	return again
}

// Behaviour 40.
func TestCommitFailsUnderALease(t *testing.T) {
	t.Parallel()
	var l ledger
	var seen events
	var commits atomic.Int64
	cut := errors.New("cut")
	again := leasedAnswer(t, commitStore(t, &commits, cut), &l, &seen)
	events := seen.wait(t, 2)
	if events[0].Outcome != idem.OutcomeNotRecorded || !errors.Is(events[0].Err, cut) {
		t.Errorf("first event %+v", events[0])
	}
	if e := events[1]; e.Outcome != idem.OutcomeRecordedLate || !e.Late || e.Status != 0 || e.Runs != 0 || e.KeyDigest != events[0].KeyDigest {
		t.Errorf("late event %+v", e)
	}
	if a := again(); !a.replayed() || l.runs.Load() != 1 || commits.Load() != 2 {
		t.Errorf("then: %+v, %d runs, %d commits", a, l.runs.Load(), commits.Load())
	}
}

// A refusal that ends the repeating is told with what the store said last.
//
// Behaviour 40.
func TestRepeatedCommitIsRefused(t *testing.T) {
	t.Parallel()
	var l ledger
	var seen events
	var commits atomic.Int64
	leasedAnswer(t, commitStore(t, &commits, errors.New("cut"), idem.ErrLeaseLost), &l, &seen)
	if e := seen.wait(t, 2)[1]; e.Outcome != idem.OutcomeRecordLost || !errors.Is(e.Err, idem.ErrLeaseLost) || commits.Load() != 2 {
		t.Errorf("late event %+v after %d commits", e, commits.Load())
	}
}

// What no repetition can change is told at once and by its own name: a store
// that has refused a Commit for good knows nothing of the reservation any more.
//
// Behaviour 40.
func TestCommitRefusedForGoodUnderALease(t *testing.T) {
	t.Parallel()
	for name, refusal := range map[string]error{
		"LeaseLost":        fmt.Errorf("store: %w", idem.ErrLeaseLost),
		"Superseded":       idem.ErrSuperseded,
		"NotReserved":      idem.ErrNotReserved,
		"HashMismatch":     idem.ErrHashMismatch,
		"StoreClosed":      idem.ErrStoreClosed,
		"RecordUnreadable": idem.ErrRecordUnreadable,
		"Refused":          &idem.CommitError{Err: errors.New("22001")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var l ledger
			var seen events
			var commits atomic.Int64
			leasedAnswer(t, commitStore(t, &commits, refusal, idem.ErrNotReserved), &l, &seen)
			e := seen.wait(t, 1)[0]
			if e.Outcome != idem.OutcomeRecordLost || !errors.Is(e.Err, refusal) || e.Status != 201 || e.Runs != 1 {
				t.Errorf("event %+v", e)
			}
			if commits.Load() != 1 || l.rows.Load() != 1 {
				t.Errorf("%d commits, %d rows", commits.Load(), l.rows.Load())
			}
		})
	}
}
