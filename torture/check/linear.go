package check

import (
	"github.com/anishathalye/porcupine"
)

// A key is a register. It is empty until one run's response is in it, and again
// once that has expired; or, if the key is remembered, it holds for good that there
// was one.

// verb is what happened to the register at some moment of a time: between a
// request's being sent and its end, if it was a request that did it.
type verb int

const (
	// ran: found it empty and filled it.
	ran verb = iota
	// ranInVain: found it empty and left it so.
	ranInVain
	// waited: found it empty with somebody about to fill it; or somebody who was
	// about to find out that its answer is gone.
	waited
	// replayed: found its answer there.
	replayed
	// mismatches: found the response to another request there.
	mismatches
	// cameTooLate: found that its answer is gone.
	cameTooLate
	// expires: took its answer out.
	expires
	// fades: took its answer out and left word of it.
	fades
)

var register = porcupine.Model{
	Init: func() any { return response{} },
	Step: func(state, input, output any) (bool, any) {
		return step(state.(response), input.(verb), output.(response))
	},
}

func step(held response, v verb, answer response) (possible bool, holds response) {
	switch v {
	case ran:
		return held == response{}, answer
	case ranInVain:
		return held == response{}, held
	case waited:
		return held == response{} || held.gone, held
	case replayed:
		return held == answer, held
	case mismatches:
		return held != response{} && (held.account != answer.account || held.amount != answer.amount), held
	case cameTooLate:
		return held == answer.faded(), held
	case expires:
		return held == answer, response{}
	}
	return held == answer, answer.faded() // fades
}

// checkOrder asks porcupine whether the key's requests can be put in an order
// that its register explains.
func (k *key) checkOrder(limits Limits) []Finding {
	switch porcupine.CheckOperationsTimeout(register, k.operations(limits), limits.KeyTime) {
	case porcupine.Illegal:
		return []Finding{k.finding(NotLinearizable, "no order of its requests explains their answers", k.requests...)}
	case porcupine.Unknown:
		return []Finding{k.finding(Undecided, "no order was found in "+limits.KeyTime.String(), k.requests...)}
	}
	return nil
}

// operations turns requests and records into what they did to the register. A
// request of which nobody knows what became may have filled it unseen: that
// explains no other one's answer, so it is left out.
func (k *key) operations(limits Limits) []porcupine.Operation {
	var operations []porcupine.Operation
	for _, a := range k.requests {
		switch a.effect {
		// Both have seen that there was no record.
		case inFlight:
			operations = append(operations, during(a, waited))
		case discarded:
			operations = append(operations, during(a, ranInVain))
		case expired:
			operations = append(operations, during(a, cameTooLate))
		case mismatched:
			if !k.metOther(a) {
				operations = append(operations, during(a, mismatches))
			}
		case final:
			operations = append(operations, k.answered(a))
		}
	}
	for _, r := range k.records() {
		operations = append(operations, k.lifeOf(r, limits)...)
	}
	return operations
}

// answered is what led to a final answer. Under a lease a run's answer is
// delivered even if its record failed and is tried again in the background.
func (k *key) answered(a asked) porcupine.Operation {
	switch {
	case a.Replayed:
		return during(a, replayed)
	case k.transactional():
		return during(a, ran)
	}
	return during(a, ranInVain)
}

// lifeOf is how r came, if no answer in a transaction shows that, and went.
func (k *key) lifeOf(r *record, limits Limits) (life []porcupine.Operation) {
	if from, ok := k.writtenFrom(r); ok {
		life = append(life, porcupine.Operation{
			Input: ran, Output: r.response, Call: int64(from), Return: int64(max(from, r.firstSeen())),
		})
	}
	end := expires
	if k.remembered {
		end = fades
	}
	from := k.mayExpireFrom(r, limits.ClockError)
	if k.ttl == 0 || len(k.where(func(a asked) bool { return a.Ended > from })) == 0 {
		return life // it lives for longer than anybody asks
	}
	return append(life, porcupine.Operation{
		Input: end, Output: r.response, Call: int64(from), Return: int64(max(from, k.mustHaveExpired(r, limits.ClockError))),
	})
}

// during is what the request a did, while it lasted.
func during(a asked, v verb) porcupine.Operation {
	answer := responseTo(a)
	if v == mismatches || v == cameTooLate {
		answer.account, answer.amount = a.Account, a.Amount
	}
	return porcupine.Operation{ClientId: a.Client, Input: v, Output: answer, Call: int64(a.Sent), Return: int64(a.Ended)}
}
