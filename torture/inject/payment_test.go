package inject_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/pgidem/pgidem/internal/waitfor"
	"github.com/pgidem/pgidem/torture/inject"
	"github.com/pgidem/pgidem/torture/ledger"
	"github.com/pgidem/pgidem/torture/plan"
	"github.com/pgidem/pgidem/torture/server"
	"github.com/pgidem/pgidem/torture/site"
)

const (
	bound = 30 * time.Second
	// shortly is more than a payment takes, and less than a server waits for
	// what does not answer.
	shortly = 700 * time.Millisecond
)

// pay makes a payment at a server of the site and returns the status; 0 if there
// is no answer in time.
func pay(t *testing.T, s *site.Site, number int, patience time.Duration) int {
	t.Helper()
	return payAs(t, s, number, rand.Text(), ledger.Payment{Account: number, Amount: 1, Act: ledger.Pay}, patience)
}

func payAs(t *testing.T, s *site.Site, number int, key string, p ledger.Payment, patience time.Duration) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	body, err := json.Marshal(p)
	if err != nil {
		t.Error(err)
	}
	target := s.Server(number).URL() + server.Path(plan.ReadCommitted, server.Records{TTL: server.TTL})
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(body))
	if err != nil {
		t.Error(err)
		return 0
	}
	request.Close, request.GetBody = true, nil
	request.Header.Set("Idempotency-Key", key)
	request.Header.Set(ledger.TenantHeader, "tenant")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0
	}
	_ = response.Body.Close()
	return response.StatusCode
}

func works(t *testing.T, s *site.Site, number int) bool {
	t.Helper()
	return pay(t, s, number, bound) == http.StatusCreated
}

// eventually polls until its condition holds.
var eventually = waitfor.Condition

// inflict begins a fault; the test ends it.
func inflict(t *testing.T, s *site.Site, f plan.Fault) (end func()) {
	t.Helper()
	undo, err := inject.Begin(t.Context(), s, f)
	if err != nil {
		t.Fatal(err)
	}
	ended := false
	end = func() {
		if ended {
			return
		}
		ended = true
		if err := undo(context.WithoutCancel(t.Context())); err != nil && !errors.Is(err, inject.ErrNoVictim) {
			t.Errorf("%s cannot be taken back: %v", f.Kind, err)
		}
	}
	t.Cleanup(end)
	return end
}

func query[T any](t *testing.T, s *site.Site, sql string, arguments ...any) (value T) {
	t.Helper()
	conn, err := s.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	if err := conn.QueryRow(t.Context(), sql, arguments...).Scan(&value); err != nil {
		t.Fatal(err)
	}
	return value
}
