package check

import (
	"math"
	"time"

	"github.com/anishathalye/porcupine"
)

// A key is a register that is empty until one run's answer is in it for good.
// In between it may hold an answer that no client has seen.
const (
	empty  = ""
	unseen = "?"
)

// verb is what a request did to the register at some moment between its being
// sent and its end.
type verb int

const (
	// ran: found it empty and filled it.
	ran verb = iota
	// ranInVain: found it empty and left it so.
	ranInVain
	// replayed: found its answer there.
	replayed
	// fills: fills it if it is empty. It may come at any time, or never, since
	// after all others it changes nothing that anybody sees.
	fills
)

var register = porcupine.Model{
	Init: func() any { return empty },
	Step: func(state, input, output any) (bool, any) {
		return step(state.(string), input.(verb), output.(string))
	},
}

func step(held string, v verb, answer string) (possible bool, holds string) {
	switch v {
	case ran:
		return held == empty, answer
	case ranInVain:
		return held == empty, empty
	case replayed:
		return held == answer || held == unseen, answer
	}
	if held == empty {
		return true, answer
	}
	return true, held
}

// checkOrder asks porcupine whether the key's requests can be put in an order
// that its register explains.
func (k *key) checkOrder(limit time.Duration) []Finding {
	switch porcupine.CheckOperationsTimeout(register, k.operations(), limit) {
	case porcupine.Illegal:
		return []Finding{k.finding(NotLinearizable, "no order of its requests explains their answers", k.requests...)}
	case porcupine.Unknown:
		return []Finding{k.finding(Undecided, "no order was found in "+limit.String(), k.requests...)}
	}
	return nil
}

// operations turns requests into what they did. Of those that may have taken
// effect with an answer that nobody saw the first is enough: whatever another
// one explains, the first, which had all of its time and more, explains too.
func (k *key) operations() []porcupine.Operation {
	var operations []porcupine.Operation
	mayBeFilled := false
	for _, a := range k.requests {
		switch a.effect {
		case unknown:
			if !mayBeFilled {
				operations = append(operations, whenever(a, unseen))
			}
			mayBeFilled = true
		case inFlight, discarded:
			// Both have seen that there was no record.
			operations = append(operations, during(a, ranInVain))
		case final:
			operations = append(operations, k.answered(a)...)
		}
	}
	return operations
}

// answered is what led to a final answer. Under a lease a run's answer is
// delivered even if its record failed and is tried again in the background.
func (k *key) answered(a asked) []porcupine.Operation {
	switch {
	case a.Replayed:
		return []porcupine.Operation{during(a, replayed)}
	case k.transactional():
		return []porcupine.Operation{during(a, ran)}
	}
	return []porcupine.Operation{during(a, ranInVain), whenever(a, a.digest)}
}

func during(a asked, v verb) porcupine.Operation {
	return porcupine.Operation{
		ClientId: a.Client, Input: v, Output: a.digest, Call: int64(a.Sent), Return: int64(a.Ended),
	}
}

func whenever(a asked, answer string) porcupine.Operation {
	return porcupine.Operation{
		ClientId: a.Client, Input: fills, Output: answer, Call: int64(a.Sent), Return: math.MaxInt64,
	}
}
