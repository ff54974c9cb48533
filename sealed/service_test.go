package sealed_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/sealed"
)

// brokenCipher is a key service that does not answer.
type brokenCipher struct{ err error }

func (c brokenCipher) Seal(context.Context, []byte, []byte) (string, []byte, error) {
	return "", nil, c.err
}

func (c brokenCipher) Open(context.Context, string, []byte, []byte) ([]byte, error) {
	return nil, c.err
}

// Behaviours 13, 40. Nothing is recorded, the transactional attempt is ended and
// the leased one is not; what cannot be opened runs no handler.
func TestCipherThatFails(t *testing.T) {
	t.Parallel()
	down := errors.New("the key service is down")
	for _, transactional := range []bool{false, true} {
		inner := &shelf{}
		s := seal(t, inner, sealed.Config{Cipher: brokenCipher{down}})
		ctx, attempt := idem.WithAttempt(t.Context(), idem.AttemptConfig{})
		if transactional {
			attempt.MarkTransactional()
		}
		err := s.Commit(ctx, "k", "h", paid)
		var refused *idem.CommitError
		if !errors.As(err, &refused) || !refused.Retryable || !errors.Is(err, down) {
			t.Errorf("Commit: %v, want a retryable CommitError", err)
		}
		if released := len(inner.released) == 1; released != transactional || len(inner.records) != 0 {
			t.Errorf("transactional %t: released %v, %d records", transactional, inner.released, len(inner.records))
		}
		record(t, seal(t, inner, sealed.Config{Cipher: ring(t, "a", "a")}), "k", paid)
		mustBeUnreadable(t, "the cipher fails", s, "k", down)
	}
}

// away is a key service that can be out of reach.
type away struct {
	sealed.Cipher
	is bool
}

func (a *away) Open(ctx context.Context, keyID string, ciphertext, additional []byte) ([]byte, error) {
	if a.is {
		return nil, fmt.Errorf("key service: %w", idem.ErrStoreUnavailable)
	}
	return a.Cipher.Open(ctx, keyID, ciphertext, additional)
}

// A retry helps when the key service is back: the record is not unreadable.
func TestKeyServiceIsAway(t *testing.T) {
	t.Parallel()
	cipher := &away{Cipher: ring(t, "a", "a")}
	s := seal(t, &shelf{}, sealed.Config{Cipher: cipher})
	record(t, s, "k", paid)
	cipher.is = true
	_, _, err := s.Reserve(t.Context(), "k", "h", time.Hour)
	if p := idem.ProblemFor(err); p.Status != http.StatusServiceUnavailable || !errors.Is(err, idem.ErrRecordUnavailable) {
		t.Errorf("the client is told %d %s: %v", p.Status, p.Type, err)
	}
}

// patient is a key service's client: a call that gets no answer ends with its
// context. What it returns then need not tell why.
type patient struct {
	brokenCipher
	asked func()
}

func (p patient) Open(ctx context.Context, _ string, _, _ []byte) ([]byte, error) {
	p.asked()
	<-ctx.Done()
	return nil, p.err
}

func (p patient) Seal(ctx context.Context, _, _ []byte) (string, []byte, error) {
	p.asked()
	<-ctx.Done()
	return "", nil, p.err
}

// waiting is a patient that fails with err. Whoever waits for it is cancelled,
// or, if overdue, is over its deadline.
func waiting(t *testing.T, overdue bool, err error) (context.Context, patient) {
	if overdue {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		t.Cleanup(cancel)
		return ctx, patient{brokenCipher{err}, func() {}}
	}
	ctx, cancel := context.WithCancel(t.Context())
	return ctx, patient{brokenCipher{err}, cancel}
}

// Behaviour 3. A record that nobody had the time to open is not unreadable, even
// if the Cipher should call it so.
func TestRecordIsNotOpenedInTime(t *testing.T) {
	t.Parallel()
	for name, failure := range map[string]error{
		"Own":        errors.New("rpc error: code = DeadlineExceeded"),
		"Canceled":   fmt.Errorf("key service: %w", context.Canceled),
		"Deadline":   fmt.Errorf("key service: %w", context.DeadlineExceeded),
		"UnknownKey": sealed.ErrUnknownKey,
		"Away":       fmt.Errorf("key service: %w", idem.ErrStoreUnavailable),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inner := &shelf{}
			record(t, seal(t, inner, sealed.Config{Cipher: ring(t, "a", "a")}), "k", paid)
			ctx, cipher := waiting(t, false, failure)
			existing, fresh, err := seal(t, inner, sealed.Config{Cipher: cipher}).Reserve(ctx, "k", "h", time.Hour)
			if existing != nil || fresh || err != context.Canceled { //nolint:errorlint // the error itself
				t.Errorf("cancelled: Reserve = %v, %t, %v", existing, fresh, err)
			}
			ctx, cipher = waiting(t, true, failure)
			existing, fresh, err = seal(t, inner, sealed.Config{Cipher: cipher}).Reserve(ctx, "k", "h", time.Hour)
			if existing != nil || fresh || !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, failure) || !errors.Is(err, idem.ErrRecordUnavailable) {
				t.Errorf("deadline: Reserve = %v, %t, %v", existing, fresh, err)
			}
			if p := idem.ProblemFor(err); p.Type != idem.ProblemTypeBase+"store-unavailable" {
				t.Errorf("deadline: the client is told %d %s: %v", p.Status, p.Type, err)
			}
		})
	}
}

// Behaviour 40. The same on the way in: nothing was kept, and a retry can help.
func TestRecordIsNotSealedInTime(t *testing.T) {
	t.Parallel()
	for _, overdue := range []bool{false, true} {
		inner := &shelf{}
		ctx, cipher := waiting(t, overdue, errors.New("rpc error: code = Canceled"))
		err := seal(t, inner, sealed.Config{Cipher: cipher}).Commit(ctx, "k", "h", paid)
		p := idem.ProblemFor(err)
		if p.Status != http.StatusServiceUnavailable || p.Type != idem.ProblemTypeBase+"commit-failed" || len(inner.records) != 0 {
			t.Errorf("overdue %t: the client is told %d %s: %v", overdue, p.Status, p.Type, err)
		}
	}
}
