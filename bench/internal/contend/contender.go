// Package contend holds the ways to serve a payment that are measured against
// each other: pgidem's stores, the textbook's patterns, and the references that
// protect nothing.
package contend

import (
	"context"
	"slices"
)

// Request is one request to serve.
type Request struct {
	Key string
	// Retry: the request was served before. The references go by it, which is
	// what no real server can do; all others find it out.
	Retry bool
	// Together: all clients send it at this moment, and it was not served before.
	Together bool
}

// Contender serves requests in one way. It is safe for concurrent use.
type Contender interface {
	// Name is what the tables call it.
	Name() string
	// Plays tells whether it can serve the workload.
	Plays(Workload) bool
	// Serve answers one request, and says whether the payment was made for it.
	// An answer that is not the expected one is an error.
	Serve(ctx context.Context, r Request) (paid bool, err error)
}

// Family is what contenders have in common who share their references.
type Family struct {
	Contenders []Contender
	// Bare and Floor name the references among them; "" for none. Bare does
	// what has to be done without any protection. Floor adds the least that a
	// correct store has to write.
	Bare, Floor string
	// Distant: the family's server can be moved away by a delay line.
	Distant bool
	// Reset makes it as it was at first: nothing is known but keys, which were
	// all served.
	Reset func(ctx context.Context, keys []string) error
	// Close ends what New began.
	Close func()
}

// Names are the contenders' names, in the order of the tables.
var Names = []string{
	"bare", "floor", "txstore", "leased", "reserve-first", "notify-always", "block-on-row",
	"http-bare", "http-txstore", "redis-bare", "redisstore", "memory",
}

// IsOurs tells whether name is that of a contender that pgidem protects.
func IsOurs(name string) bool {
	return slices.Contains([]string{"txstore", "leased", "redisstore", "memory", "http-txstore"}, name)
}
