package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pgidem/pgidem/examples/payments"
)

// world is a storm that went well, to be spoilt.
type world struct {
	plan   []payment
	told   []history
	ledger ledger
}

func newWorld(t *testing.T, keys int) *world {
	t.Helper()
	w := &world{plan: plan(options{keys: keys, duplicates: 3, seed: 1})}
	w.ledger.balances = make(map[string]int64)
	for i := range w.plan {
		w.pay(t, &w.plan[i])
	}
	return w
}

func (w *world) pay(t *testing.T, p *payment) {
	t.Helper()
	made := entry{Process: processName(2), Payment: payments.Payment{
		ID: "pay_" + p.order.Reference, Account: p.order.Account, Amount: p.order.Amount,
		Currency: p.order.Currency, Reference: p.order.Reference,
	}}
	body, err := json.Marshal(made.Payment)
	if err != nil {
		t.Fatal(err)
	}
	h := history{}
	for n := range p.senders {
		h.answers = append(h.answers, answer{life: n%serverCount + 1, status: 201, body: string(body)})
	}
	if p.reuse {
		h.reuse = &answer{life: 1, status: 422}
	}
	w.told = append(w.told, h)
	w.ledger.payments = append(w.ledger.payments, made)
	if _, known := w.ledger.balances[p.order.Account]; !known {
		w.ledger.balances[p.order.Account] = payments.OpeningBalance
	}
	w.ledger.balances[p.order.Account] -= p.order.Amount
}

// judge takes the promise of one of the stores, after a run in which the second
// of three lives was killed.
func (w *world) judge(store string) *verdict {
	o := options{store: store, lease: 2 * time.Second}
	return judge(w.plan, w.told, w.ledger, promiseOf(o, course{lives: 3, killed: 2}))
}

// payTwice adds a copy of the first payment, debit and all.
func (w *world) payTwice() {
	again := w.ledger.payments[0]
	again.ID += "_again"
	w.ledger.payments = append(w.ledger.payments, again)
	w.ledger.balances[again.Account] -= again.Amount
}

func TestVerdictOnAGoodRun(t *testing.T) {
	t.Parallel()
	for _, store := range storeNames {
		v := newWorld(t, 40).judge(store)
		if got, want := v.String(), "40 keys → 40 payments, 0 duplicates, 0 lost"; got != want || !v.holds() {
			t.Errorf("%s: %s, faults %q", store, got, v.faults)
		}
	}
}

func TestVerdictSeesEachFault(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		spoil func(*world)
		want  string
	}{
		"PaidTwice":       {(*world).payTwice, "order-1: the payment was made 2 times"},
		"NotPaid":         {func(w *world) { w.ledger.payments = w.ledger.payments[1:] }, "order-1: the payment was not made"},
		"Stranger":        {func(w *world) { w.ledger.payments[0].Reference = "x" }, "x: nobody asked"},
		"WrongAmount":     {func(w *world) { w.ledger.payments[0].Amount++ }, "were asked for"},
		"WrongAccount":    {func(w *world) { w.ledger.payments[0].Account = "acct_x" }, "were asked for"},
		"DebitedTwice":    {func(w *world) { w.ledger.balances[w.plan[0].order.Account]-- }, "was debited"},
		"AnswersDiffer":   {func(w *world) { w.told[0].answers[1].body += " " }, "different answers"},
		"AnswerIsNoBody":  {func(w *world) { w.told[0].answers[0].body = "" }, "not in the ledger"},
		"PaymentVanished": {func(w *world) { w.ledger.payments[0].ID = "pay_other" }, "not in the ledger"},
		"Refused":         {func(w *world) { w.told[0].answers[0].status = 402 }, "was answered 402"},
		"NoAnswer":        {func(w *world) { w.told[0].answers = w.told[0].answers[1:] }, "never got a final answer"},
		"ReuseTaken":      {func(w *world) { w.told[0].reuse.status = 201 }, "answered 201, not 422"},
		"ReuseUnanswered": {func(w *world) { w.told[0].reuse = nil }, "never got a final answer"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 5)
			test.spoil(w)
			v := w.judge(storePostgres)
			if !slices.ContainsFunc(v.faults, func(f string) bool { return strings.Contains(f, test.want) }) {
				t.Errorf("faults are %q, want one with %q", v.faults, test.want)
			}
		})
	}
}

func TestVerdictCountsDuplicatesAndLosses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 5)
	w.payTwice()
	w.payTwice()
	w.ledger.payments = slices.Delete(w.ledger.payments, 3, 5)
	if got, want := w.judge(storePostgres).String(), "5 keys → 5 payments, 2 duplicates, 2 lost"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestStoreOfOneProcessIsHeldToOnePaymentForEachLife(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 5)
	w.payTwice()
	w.told[0].answers[1].body = strings.ReplaceAll(w.told[0].answers[1].body, "pay_order-1", "pay_order-1_again")
	if v := w.judge(storeMemory); !v.holds() || v.duplicates != 1 {
		t.Errorf("one for each of two lives: %v, faults %q", v, v.faults)
	}
	w.told[0].answers[2].body = w.told[0].answers[1].body // of life 1, as the first
	if v := w.judge(storeMemory); v.holds() {
		t.Error("two payments in one life were not seen")
	}
	w = newWorld(t, 5)
	for range 3 {
		w.payTwice()
	}
	if v := w.judge(storeMemory); v.holds() {
		t.Error("four payments in three lives were not seen")
	}
}

// payAgain makes the first payment a killed process's, and another's after the
// given time. The clients were told of the latter.
func (w *world) payAgain(t *testing.T, after time.Duration) {
	t.Helper()
	w.payTwice()
	again := &w.ledger.payments[len(w.ledger.payments)-1]
	again.Process, again.CreatedAt = processName(1), again.CreatedAt.Add(after)
	body, err := json.Marshal(again.Payment)
	if err != nil {
		t.Fatal(err)
	}
	for n := range w.told[0].answers {
		w.told[0].answers[n].body = string(body)
	}
}

func TestLeaseLeavesRoomForAKilledOwnersPayment(t *testing.T) {
	t.Parallel()
	for store, holds := range map[string]bool{storePostgres: false, storeLeased: true, storeRedis: true} {
		w := newWorld(t, 5)
		w.payAgain(t, 2*time.Second)
		v := w.judge(store)
		if v.holds() != holds || v.duplicates != 1 || v.again != 1 || v.soonest != 2*time.Second {
			t.Errorf("%s: %v, %d keys again after %v, faults %q", store, v, v.again, v.soonest, v.faults)
		}
		if holds && !strings.Contains(v.note(), "that befell 1 of 5 keys") {
			t.Errorf("%s: note is %s", store, v.note())
		}
	}
}

func TestLeaseLeavesRoomForNothingElse(t *testing.T) {
	t.Parallel()
	last := func(w *world) *entry { return &w.ledger.payments[len(w.ledger.payments)-1] }
	for name, test := range map[string]struct {
		spoil func(*world)
		want  string
	}{
		"ByALivingProcess":  {func(w *world) { w.ledger.payments[0].Process = processName(3) }, `by "payments-3" "payments-1"`},
		"ByTheKilledTwice":  {func(w *world) { last(w).Process = processName(2) }, `by "payments-2" "payments-2"`},
		"ThreeTimes":        {(*world).payTwice, "the payment was made 3 times"},
		"BothAliveAtOnce":   {func(w *world) { last(w).CreatedAt = w.ledger.payments[0].CreatedAt }, "two attempts were alive"},
		"FirstOneWasToldOf": {func(w *world) { w.told[0].answers[0].body = w.told[1].answers[0].body }, "different answers"},
		"AnotherAmount":     {func(w *world) { last(w).Amount++ }, "were asked for"},
		"Lost":              {func(w *world) { w.ledger.payments = slices.Delete(w.ledger.payments, 1, 2) }, "was not made"},
		"ReuseTaken":        {func(w *world) { w.told[0].reuse.status = 201 }, "answered 201, not 422"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 5)
			w.payAgain(t, 2*time.Second)
			test.spoil(w)
			v := w.judge(storeRedis)
			if !slices.ContainsFunc(v.faults, func(f string) bool { return strings.Contains(f, test.want) }) {
				t.Errorf("faults are %q, want one with %q", v.faults, test.want)
			}
		})
	}
}

func TestLeaseLeavesNoRoomWhenNobodyWasKilled(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 5)
	w.payAgain(t, 2*time.Second)
	o := options{store: storeRedis, lease: 2 * time.Second}
	if v := judge(w.plan, w.told, w.ledger, promiseOf(o, course{lives: 2})); v.holds() {
		t.Error("a second payment was not seen")
	}
}
