package idem

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"reflect"
)

// claim says for which key of which store the runner's handler runs.
type claim struct {
	store     Store
	key       string
	admission *admission // the middleware's; nil: it has none
}

// refuseNested returns ErrNested if this very key is being run further out in
// ctx. Where an admission is shared, so is the store.
func (c *claim) refuseNested(ctx context.Context) error {
	_, nested := enclosingClaim(ctx, func(outer *claim) bool {
		return outer.key == c.key &&
			(sameStore(outer.store, c.store) || c.admission != nil && outer.admission == c.admission)
	})
	if nested {
		return ErrNested
	}
	return nil
}

// enclosingClaim returns the innermost claim in ctx that match accepts.
func enclosingClaim(ctx context.Context, match func(*claim) bool) (c *claim, ok bool) {
	a, _ := AttemptFromContext(ctx)
	for ; a != nil; a = a.parent {
		if a.claim != nil && match(a.claim) {
			return a.claim, true
		}
	}
	return nil, false
}

// DownstreamKey derives an idempotency key for a call that the handler makes to
// another service. It is the same in every run for one key and name, and differs
// for any other key, scope or name. It does not show the key, but whoever
// can guess the key can recognize it. Outside a protected request it returns "".
func DownstreamKey(ctx context.Context, name string) string {
	c, ok := enclosingClaim(ctx, func(*claim) bool { return true })
	if !ok {
		return ""
	}
	h := sha256.New()
	writeLengthPrefixed(h, "idem downstream key 1")
	writeLengthPrefixed(h, c.key)
	writeLengthPrefixed(h, name)
	return hex.EncodeToString(h.Sum(nil))
}

// sameStore compares two stores; those of an uncomparable type are left for the
// store itself to tell apart.
func sameStore(a, b Store) bool {
	return reflect.TypeOf(a).Comparable() && reflect.TypeOf(b).Comparable() && a == b
}
