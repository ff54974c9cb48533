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
	if p := idem.ProblemFor(err); p.Status != http.StatusServiceUnavailable {
		t.Errorf("the client is told %d %s: %v", p.Status, p.Type, err)
	}
}
