package contend

import (
	"fmt"

	"github.com/pgidem/pgidem/bench/internal/payment"
	"github.com/pgidem/pgidem/idem"
)

func response() idem.Cached {
	return idem.Cached{Status: payment.Status, Header: payment.Header(), Body: []byte(payment.Body), RequestHash: payment.Hash}
}

// check fails unless the recorded answer is the payment's.
func check(key string, status int, body []byte) error {
	if status != payment.Status || string(body) != payment.Body {
		return fmt.Errorf("key %s was answered by %d %q", key, status, body)
	}
	return nil
}
