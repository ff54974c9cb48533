package main

import (
	"fmt"
	"net/http"
	"time"

	"github.com/pgidem/pgidem/examples/payments"
)

// verdict is what the ledger says about the plan.
type verdict struct {
	promise    promise
	keys       int
	payments   int
	duplicates int // payments beyond the first of their key
	again      int // keys with more than one payment
	// soonest is the shortest time from a key's first payment to its second.
	soonest time.Duration
	lost    int // keys without a payment
	// reused: keys that were taken for another order although they stood for one.
	reused int
	// faults are the sentences that say what is wrong.
	faults []string
}

// holds tells whether the store has kept its promise.
func (v *verdict) holds() bool { return len(v.faults) == 0 }

func (v *verdict) fault(format string, args ...any) {
	v.faults = append(v.faults, fmt.Sprintf(format, args...))
}

// judge compares what was asked for, what the clients were told and what is in
// the ledger, and holds it against the promise.
func judge(plan []payment, told []history, l ledger, promise promise) *verdict {
	v := &verdict{promise: promise, keys: len(plan), payments: len(l.payments)}
	byReference, byID := index(l.payments)
	for i := range plan {
		p, made := &plan[i], byReference[plan[i].order.Reference]
		delete(byReference, p.order.Reference)
		v.count(p, made)
		v.checkAnswers(p, told[i], byID)
		v.checkReuse(p, told[i])
	}
	for reference, strangers := range byReference {
		v.fault("%s: nobody asked for this payment, but it was made %d times", reference, len(strangers))
	}
	v.checkBalances(l)
	return v
}

func index(list []entry) (byReference map[string][]entry, byID map[string]entry) {
	byReference, byID = make(map[string][]entry), make(map[string]entry)
	for _, p := range list {
		byReference[p.Reference] = append(byReference[p.Reference], p)
		byID[p.ID] = p
	}
	return byReference, byID
}

// count compares a key with the payments that were made for it.
func (v *verdict) count(p *payment, made []entry) {
	name := p.order.Reference
	switch why := v.promise.forbids(p, made); {
	case len(made) == 0:
		v.lost++
		v.fault("%s: the payment was not made", name)
	case why != "":
		v.fault("%s: %s", name, why)
	}
	if len(made) > 1 {
		v.countAgain(made)
	}
	for _, m := range made {
		if !v.promise.perProcess && (m.Account != p.order.Account || m.Amount != p.order.Amount || m.Currency != p.order.Currency) {
			v.fault("%s: %d %s from %s were asked for, the ledger says %d %s from %s",
				name, p.order.Amount, p.order.Currency, p.order.Account, m.Amount, m.Currency, m.Account)
		}
	}
}

func (v *verdict) countAgain(made []entry) {
	v.duplicates += len(made) - 1
	v.again++
	if v.again == 1 || gap(made) < v.soonest {
		v.soonest = gap(made)
	}
}

// checkAnswers: every client has an answer, it is a 201, it is the same for all
// byte by byte, and the payment that it speaks of exists.
func (v *verdict) checkAnswers(p *payment, told history, byID map[string]entry) {
	name := p.order.Reference
	if missing := len(p.senders) - len(told.answers); missing > 0 {
		v.fault("%s: %d of %d clients never got a final answer", name, missing, len(p.senders))
	}
	first := make(map[int]string) // the body by the life that it must be the same in
	for _, a := range told.answers {
		if a.status != http.StatusCreated {
			v.fault("%s: a client was answered %d", name, a.status)
			continue
		}
		life := 0 // one for all
		if v.promise.perProcess {
			life = a.life
		}
		if body, seen := first[life]; seen && body != a.body {
			v.fault("%s: two clients got different answers", name)
		}
		first[life] = a.body
		if created, err := a.payment(); err != nil || byID[created.ID].Reference != name {
			v.fault("%s: a client was told of payment %q, which is not in the ledger", name, created.ID)
		}
	}
}

// checkReuse: a key that stands for one order is refused for another, by every
// process that the promise spans and that can know it.
func (v *verdict) checkReuse(p *payment, told history) {
	if !p.reuse {
		return
	}
	switch {
	case told.reuse == nil:
		v.fault("%s: the client that used its key again never got a final answer", p.order.Reference)
	case told.reuse.status == http.StatusUnprocessableEntity:
	case v.promise.perProcess && told.reuse.status == http.StatusCreated && !told.knows(told.reuse.life):
		v.reused++
	default:
		v.reused++
		v.fault("%s: its key was used again for another amount and answered %d, not 422",
			p.order.Reference, told.reuse.status)
	}
}

// knows tells whether a process has answered for the key before.
func (h history) knows(life int) bool {
	for _, a := range h.answers {
		if a.life == life {
			return true
		}
	}
	return false
}

// checkBalances: what each account has lost is what was paid from it.
func (v *verdict) checkBalances(l ledger) {
	paid := make(map[string]int64)
	for _, p := range l.payments {
		paid[p.Account] += p.Amount
	}
	for account, balance := range l.balances {
		if lost := payments.OpeningBalance - balance; lost != paid[account] {
			v.fault("%s: %d was debited, but its payments add up to %d", account, lost, paid[account])
		}
	}
}

// String is the sentence that the demo is run for.
func (v *verdict) String() string {
	return fmt.Sprintf("%d keys → %d payments, %d duplicates, %d lost", v.keys, v.payments, v.duplicates, v.lost)
}
