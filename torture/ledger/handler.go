package ledger

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/torture/history"
)

// InTx runs a function in a transaction: the store's, or one of its own.
type InTx func(ctx context.Context, fn func(pgx.Tx) error) error

// Handler books payments. It belongs behind the middleware.
type Handler struct {
	InTx   InTx
	Server int // the number that its rows carry
}

// maxPadding bounds how much an answer is longer than it need be.
const maxPadding = 1200

func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	payment, err := readPayment(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError) // no client sends this
		return
	}
	tenant, key := r.Header.Get(TenantHeader), r.Header.Get("Idempotency-Key")
	run := &run{Payment: payment, tenant: tenant, key: key, attempt: rand.Text(), server: h.Server}
	ctx := r.Context()
	err = h.InTx(ctx, func(tx pgx.Tx) error {
		if err := run.book(ctx, tx); err != nil {
			return err
		}
		return run.misbehave(ctx)
	})
	if errors.Is(err, errBusy) {
		idem.SetDisposition(ctx, idem.Discard) // a lease would keep it, like every 4xx
	}
	run.answer(w, err)
}

// What a run does that has booked and does not like it.
var (
	errFailed = errors.New("failed by its act")
	errBusy   = errors.New("busy by its act")
)

// misbehave does so in one of three runs: often enough, and yet no key is kept
// unusable for long by its handler alone.
func (r *run) misbehave(ctx context.Context) error {
	if mathrand.IntN(3) > 0 {
		return nil
	}
	switch r.Act {
	case Fail:
		return errFailed
	case Busy:
		return errBusy
	case Panic:
		panic(http.ErrAbortHandler)
	case Overrun:
		<-ctx.Done()
		return ctx.Err()
	}
	return nil
}

// answer tells the client. Every run answers other bytes, so that a second run
// behind an answer shows.
func (r *run) answer(w http.ResponseWriter, err error) {
	status := http.StatusCreated
	switch {
	case errors.Is(err, errRefused):
		status = http.StatusPaymentRequired
	case errors.Is(err, errBusy):
		status = http.StatusTooManyRequests
	case err != nil:
		status = http.StatusInternalServerError
	}
	header := w.Header()
	header.Set(history.OwnerHeader, history.Owner(r.tenant, r.key))
	header.Set("Content-Type", "application/json")
	header["Payment-Attempt"] = []string{r.attempt, fmt.Sprint(r.server)}
	w.WriteHeader(status)
	_, _ = w.Write(r.body(err))
}

func (r *run) body(err error) []byte {
	body := struct {
		history.Row
		Attempt string
		Error   string `json:",omitempty"`
		Padding []byte
	}{
		Row:     history.Row{ID: r.id, Tenant: r.tenant, Key: r.key, Account: r.Account, Amount: r.Amount, PaidAt: r.paidAt},
		Attempt: r.attempt,
		Padding: bytes.Repeat([]byte{byte(r.id)}, mathrand.IntN(maxPadding)),
	}
	if err != nil {
		body.Error = err.Error()
	}
	text, _ := json.Marshal(body) // numbers and text: it cannot fail
	return text
}

func rest(ctx context.Context, d time.Duration) error {
	if d == 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
