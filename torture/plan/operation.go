// Package plan draws a torture run from its seed: what the clients do, and which
// faults befall them. The same seed draws the same plan. What becomes of it is
// up to the schedulers of the machine, and no seed brings that back.
package plan

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/pgidem/pgidem/torture/ledger"
)

// Operation is one payment that somebody wants to be made once: all that its
// clients send stands under one key.
type Operation struct {
	Index  int
	Tenant string
	Key    string
	Level  Level
	// Brief: its record lives for seconds only, and then the payment may be made
	// again, unless it is Remembered.
	Brief bool
	// Remembered: it is brief, and its key stays known.
	Remembered bool
	Payment    ledger.Payment
	// Other is what some of its clients ask for under the same key, which they
	// must not. nil: nobody does.
	Other   *ledger.Payment
	Senders []Sender
	// Returns are when somebody asks once more, after the answer before.
	Returns []time.Duration
}

// Sender is one of the clients of an operation. It tries until it has a final
// answer, or until it has no tries left.
type Sender struct {
	Delay time.Duration // before its first try
	First int           // the server that it tries first, from 0
	Tries []Try         // its first ones; after them it is patient
	// GivesUp: after Tries it does not come back.
	GivesUp bool
	// Other: it asks for the operation's Other payment.
	Other bool
}

// Try is how long a client waits for an answer.
type Try struct {
	Patience time.Duration
	// HangUp: it does not run out of patience, but goes away.
	HangUp bool
}

// Level is the isolation of the transactions behind a route.
type Level string

// The levels, each served under a route of its own.
const (
	ReadCommitted  Level = "read-committed"
	RepeatableRead Level = "repeatable-read"
	Serializable   Level = "serializable"
)

// Levels are all levels.
var Levels = []Level{ReadCommitted, RepeatableRead, Serializable}

const (
	tenants    = 3
	maxAmount  = 5000
	maxSenders = 5
	longHold   = 600 * time.Millisecond
	shortHold  = 20 * time.Millisecond
	lateReturn = 2 * time.Second
	// briefReturn is longer than a brief record lives.
	briefReturn = 5 * time.Second
)

// NewOperation draws the operation of that index. Tenants use the same keys:
// it is the scope that keeps them apart.
func NewOperation(seed uint64, index, servers int) Operation {
	random := stream(seed, operations+uint64(index)) //nolint:gosec // an index is not negative
	o := Operation{
		Index:  index,
		Tenant: fmt.Sprintf("tenant-%d", index%tenants+1),
		Key:    fmt.Sprintf("order-%d", index/tenants+1),
		Level:  ReadCommitted,
		Payment: ledger.Payment{
			Account: random.IntN(ledger.AccountCount) + 1,
			Amount:  random.Int64N(maxAmount) + 1,
			Act:     drawAct(random),
			Hold:    drawHold(random),
		},
	}
	if o.Payment.Act == ledger.Skew || random.IntN(8) == 0 {
		o.Level = Levels[1+random.IntN(len(Levels)-1)]
		// Who is long at it there is hardly ever the one to win.
		o.Payment.Hold = min(o.Payment.Hold, shortHold)
	}
	for range drawCrowd(random) {
		o.Senders = append(o.Senders, drawSender(random, o.Payment.Hold, servers))
	}
	for random.IntN(4) == 0 {
		o.Returns = append(o.Returns, between(random, 0, lateReturn))
	}
	if random.IntN(8) == 0 {
		o.beBrief(random)
	}
	if random.IntN(16) == 0 {
		o.misuse(random, servers)
	}
	return o
}

// beBrief makes the operation a brief one, to which clients return before its
// record has expired, about then and after it.
func (o *Operation) beBrief(random *rand.Rand) {
	o.Brief, o.Remembered = true, random.IntN(2) == 0
	for range 1 + random.IntN(4) {
		o.Returns = append(o.Returns, between(random, 0, briefReturn))
	}
}

// misuse gives the operation clients that use its key for another payment, at
// the same time and later.
func (o *Operation) misuse(random *rand.Rand, servers int) {
	other := o.Payment
	other.Amount = maxAmount + 1 + random.Int64N(maxAmount)
	other.Act = drawAct(random)
	o.Other = &other
	for range 1 + random.IntN(2) {
		s := drawSender(random, o.Payment.Hold, servers)
		s.Other = true
		o.Senders = append(o.Senders, s)
	}
	o.Returns = append(o.Returns, between(random, 0, lateReturn))
}

// As is the operation for those who ask for its other payment, or for those who
// ask for its own.
func (o Operation) As(other bool) Operation {
	if other && o.Other != nil {
		o.Payment = *o.Other
	}
	return o
}

// drawAct draws payments mostly.
func drawAct(random *rand.Rand) ledger.Act {
	switch n := random.IntN(100); {
	case n < 55:
		return ledger.Pay
	case n < 61:
		return ledger.Refuse
	case n < 66:
		return ledger.RefuseAborted
	case n < 73:
		return ledger.Fail
	case n < 79:
		return ledger.Busy
	case n < 84:
		return ledger.Panic
	case n < 86:
		return ledger.Overrun
	case n < 93:
		return ledger.Deadlock
	}
	return ledger.Skew
}

func drawHold(random *rand.Rand) time.Duration {
	switch random.IntN(4) {
	case 0:
		return between(random, shortHold, longHold)
	case 1:
		return 0
	}
	return between(random, time.Millisecond, shortHold)
}

// drawCrowd draws how many clients an operation has: some have a storm of them.
func drawCrowd(random *rand.Rand) int {
	if random.IntN(3) > 0 {
		return 1
	}
	return 2 + random.IntN(maxSenders-1)
}

// drawSender lets the first tries end while the handler runs, or about then.
func drawSender(random *rand.Rand, hold time.Duration, servers int) Sender {
	s := Sender{First: random.IntN(servers), Delay: between(random, 0, hold*3/2+2*time.Millisecond)}
	for random.IntN(3) == 0 && len(s.Tries) < 4 {
		s.Tries = append(s.Tries, Try{
			Patience: between(random, time.Millisecond, 2*hold+30*time.Millisecond),
			HangUp:   random.IntN(2) == 0,
		})
	}
	s.GivesUp = len(s.Tries) > 0 && random.IntN(4) == 0
	return s
}
