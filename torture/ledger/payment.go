// Package ledger is the business that a torture run is about: payments that a
// server books, whose rows and balances the run is judged by afterwards.
//
// No constraint keeps a key from being booked twice. If it happens, it shows.
package ledger

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"
)

// TenantHeader names the tenant, who scopes the idempotency keys.
const TenantHeader = "Tenant"

// Accounts are numbered from 1 to AccountCount, and each begins with Opening.
const (
	AccountCount = 32
	Opening      = 1_000_000
)

// Act is how the handler of a payment behaves.
type Act string

// The acts. What a handler does in some of its runs it decides anew in each, so
// that a retry may fare better.
const (
	// Pay books the payment.
	Pay Act = "pay"
	// Refuse books, and then answers 402: the answer is final, the booking must
	// be undone.
	Refuse Act = "refuse"
	// RefuseAborted books, then fails on a statement, and answers 402 to that.
	RefuseAborted Act = "refuse-aborted"
	// Fail books, and answers 500 in some of its runs.
	Fail Act = "fail"
	// Busy books, and answers 429, which is not to be kept, in some of its runs.
	Busy Act = "busy"
	// Panic books, and panics in some of its runs.
	Panic Act = "panic"
	// Overrun books, and does not return in time in some of its runs.
	Overrun Act = "overrun"
	// Deadlock books on two accounts in an order that differs from run to run.
	Deadlock Act = "deadlock"
	// Skew reads two accounts and writes one, as others do the other way around.
	Skew Act = "skew"
)

// Acts are all acts.
var Acts = []Act{Pay, Refuse, RefuseAborted, Fail, Busy, Panic, Overrun, Deadlock, Skew}

// Payment is the body of a request.
type Payment struct {
	Account int           `json:"account"`
	Amount  int64         `json:"amount"`
	Act     Act           `json:"act"`
	Hold    time.Duration `json:"hold"` // how long the handler is busy
}

// other is the second account of a payment that touches two.
func (p Payment) other() int { return p.Account%AccountCount + 1 }

func readPayment(body io.Reader) (Payment, error) {
	var p Payment
	if err := json.NewDecoder(body).Decode(&p); err != nil {
		return p, err
	}
	if p.Account < 1 || p.Account > AccountCount || !slices.Contains(Acts, p.Act) {
		return p, fmt.Errorf("no such payment: %+v", p)
	}
	return p, nil
}
