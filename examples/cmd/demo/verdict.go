package main

import (
	"fmt"
	"net/http"

	"github.com/pgidem/pgidem/examples/payments"
)

// verdict is what the ledger says about the plan.
type verdict struct {
	keys       int
	payments   int
	duplicates int // payments beyond the first of their key
	lost       int // keys without a payment
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
// the ledger. shared tells whether the store's promise spans processes; without
// that, it is held to what it promises inside each of the given number of lives.
func judge(plan []payment, told []history, l ledger, shared bool, lives int) *verdict {
	v := &verdict{keys: len(plan), payments: len(l.payments)}
	byReference, byID := index(l.payments)
	for i := range plan {
		p, made := &plan[i], byReference[plan[i].order.Reference]
		delete(byReference, p.order.Reference)
		v.count(p, made, shared, lives)
		v.checkAnswers(p, told[i], byID, shared)
		v.checkReuse(p, told[i], shared)
	}
	for reference, strangers := range byReference {
		v.fault("%s: nobody asked for this payment, but it was made %d times", reference, len(strangers))
	}
	v.checkBalances(l)
	return v
}

func index(list []payments.Payment) (byReference map[string][]payments.Payment, byID map[string]payments.Payment) {
	byReference, byID = make(map[string][]payments.Payment), make(map[string]payments.Payment)
	for _, p := range list {
		byReference[p.Reference] = append(byReference[p.Reference], p)
		byID[p.ID] = p
	}
	return byReference, byID
}

// count compares a key with the payments that were made for it.
func (v *verdict) count(p *payment, made []payments.Payment, shared bool, lives int) {
	name := p.order.Reference
	allowed := 1
	if !shared {
		allowed = lives
	}
	switch {
	case len(made) == 0:
		v.lost++
		v.fault("%s: the payment was not made", name)
	case len(made) > allowed:
		v.fault("%s: the payment was made %d times", name, len(made))
	}
	v.duplicates += max(0, len(made)-1)
	for _, m := range made {
		if shared && (m.Account != p.order.Account || m.Amount != p.order.Amount || m.Currency != p.order.Currency) {
			v.fault("%s: %d %s from %s were asked for, the ledger says %d %s from %s",
				name, p.order.Amount, p.order.Currency, p.order.Account, m.Amount, m.Currency, m.Account)
		}
	}
}

// checkAnswers: every client has an answer, it is a 201, it is the same for all
// byte by byte, and the payment that it speaks of exists.
func (v *verdict) checkAnswers(p *payment, told history, byID map[string]payments.Payment, shared bool) {
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
		life := a.life
		if shared {
			life = 0 // one for all
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
func (v *verdict) checkReuse(p *payment, told history, shared bool) {
	if !p.reuse {
		return
	}
	switch {
	case told.reuse == nil:
		v.fault("%s: the client that used its key again never got a final answer", p.order.Reference)
	case told.reuse.status == http.StatusUnprocessableEntity:
	case !shared && told.reuse.status == http.StatusCreated && !told.knows(told.reuse.life):
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
