package payments

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"unicode/utf8"
)

// MaxAmount is the largest amount of one payment, in minor units: the largest
// integer that every JSON reader keeps exact.
const MaxAmount = 1<<53 - 1

const (
	maxOrderBytes     = 1 << 20
	maxAccountBytes   = 64
	maxReferenceBytes = 200
)

// Order is what a client asks for: to pay an amount from an account.
type Order struct {
	// Account is the account to debit.
	Account string `json:"account"`
	// Amount is in minor units of the currency, as cents.
	Amount int64 `json:"amount"`
	// Currency is a code of three lower-case letters. Accounts count minor
	// units whatever their currency: this example converts nothing.
	Currency string `json:"currency"`
	// Reference is the client's own name for the payment. It may be empty, and
	// it need not be unique: it is the idempotency key that tells a retry from
	// a second payment.
	Reference string `json:"reference"`
}

// decodeOrder reads an order strictly. A field that nobody knows is most likely
// a misspelt one, and ignoring it would move the wrong sum of money.
//
// The body is bounded here as well as in the middleware, which a request
// without a key goes past.
func decodeOrder(w http.ResponseWriter, r *http.Request) (Order, error) {
	var order Order
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxOrderBytes))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&order); err != nil {
		return Order{}, unreadable(err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return Order{}, badRequest("The body must be one JSON object and nothing after it.")
	}
	return order, order.validate()
}

// unreadable says what is wrong with the body without showing what Go thinks of
// it.
func unreadable(err error) error {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return problemTooLarge
	}
	var wrongType *json.UnmarshalTypeError
	if errors.As(err, &wrongType) && wrongType.Field != "" {
		return badRequest(wrongType.Field + " must not be a JSON " + wrongType.Value + ".")
	}
	if field, unknown := strings.CutPrefix(err.Error(), "json: unknown field "); unknown {
		return badRequest("The order has a field that is not known: " + field)
	}
	return badRequest("The body must be one JSON object.")
}

func (o Order) validate() error {
	switch {
	case o.Account == "" || len(o.Account) > maxAccountBytes || !storable(o.Account):
		return badRequest("account must be the id of an account.")
	case o.Amount <= 0 || o.Amount > MaxAmount:
		return badRequest(fmt.Sprintf("amount must be a whole number of minor units from 1 to %d.", int64(MaxAmount)))
	case !isCurrency(o.Currency):
		return badRequest("currency must be a code of three lower-case letters.")
	case len(o.Reference) > maxReferenceBytes || !storable(o.Reference):
		return badRequest(fmt.Sprintf("reference must be text of at most %d bytes.", maxReferenceBytes))
	}
	return nil
}

func isCurrency(code string) bool {
	notLetter := func(r rune) bool { return r < 'a' || r > 'z' }
	return len(code) == 3 && !strings.ContainsFunc(code, notLetter)
}

// storable tells whether PostgreSQL takes s as text. What it does not take is a
// client's mistake and must not become a 500.
func storable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsRune(s, 0)
}
