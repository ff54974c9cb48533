// Package history is the record of one torture run: everything the clients
// sent and were told, what stands in the ledger afterwards, and which faults
// were injected meanwhile. It judges nothing; package check does.
package history

import (
	"net/http"
	"time"
)

// The modes of a run, by the store that its servers use.
const (
	// Transactional is txstore with the handler's writes in its transaction.
	Transactional = "transactional"
	// Leased is txstore's leased store.
	Leased = "leased"
	// Redis is redisstore.
	Redis = "redis"
)

// OwnerHeader is a header that the handler sets on each of its answers, with
// the Owner of the request it was run for: a replay that shows another owner
// is another's answer.
const OwnerHeader = "Payment-Owner"

// Owner names a key within its tenant.
func Owner(tenant, key string) string { return tenant + "/" + key }

// Run is what a torture run leaves behind. All times are measured from its
// start by the clock of the process in which the clients live, which no fault
// touches.
type Run struct {
	Seed     uint64
	Mode     string
	Requests []Request
	// Rows is the whole ledger after the run.
	Rows []Row
	// Balances has each account's balance after the run, Opening the one each
	// account began with.
	Balances map[int]int64
	Opening  int64
	Faults   []Fault
	// Clock is what the database's clock told at the start of the run, in
	// microseconds since 1970, and Drift by how much it has gone faster since
	// than the clock of the run. No fault touches it, but the machine may.
	Clock int64
	Drift time.Duration
	// Quiet is when the last fault had ended and everything was up again. From
	// then on nothing disturbs the clients, and they ask for every key once
	// more, also for those whose answer they have.
	Quiet     time.Duration
	Ended     time.Duration
	Leftovers Leftovers
}

// Request is one attempt of a client to have a payment made, and what came
// back. A client that retries sends several with the same Tenant and Key.
type Request struct {
	// ID counts from 1 in the order in which the requests ended.
	ID      int64
	Client  int
	Tenant  string
	Key     string
	Account int
	Amount  int64
	// TTL is how long the service keeps a record of the request, from its Commit
	// on and by the clock of the store. 0: for good.
	TTL time.Duration
	// Remembered: the service knows the key after its record's TTL, too, for all
	// of the run, and refuses it then.
	Remembered bool
	// Server is the number, from 1, of the process that it was sent to.
	Server int
	// Sent is read before the first byte goes out, Ended after the last byte
	// came in or the client gave up.
	Sent  time.Duration
	Ended time.Duration
	// Answered says that the answer arrived whole. Without it the fields below
	// are empty and Failure has the client's error.
	Answered bool
	Status   int
	// Replayed says that the answer carried the replay header.
	Replayed bool
	// Problem is the last segment of the answer's problem type, such as
	// in-flight, or empty if it was no problem document of the middleware.
	Problem string
	Header  http.Header
	Body    []byte
	Failure string
}

// Row is one payment in the ledger. ID is its primary key. The answer to
// a payment is its Row as JSON; further fields there do not matter.
type Row struct {
	ID      int64
	Tenant  string
	Key     string
	Account int
	Amount  int64
	// PaidAt is when it was booked, by the database's clock: microseconds since
	// 1970. The record of the run that has booked it is younger.
	PaidAt int64
}

// Fault is one disturbance: its kind, the number of the server that it was
// aimed at (0: all of them, as when the database restarts), when it began and
// for how long it lasted. One that has no duration lasted 0.
type Fault struct {
	Kind   string
	Server int
	At     time.Duration
	Lasted time.Duration
	// Missed: it has met nobody, though it was tried Tries times.
	Missed bool
	Tries  int
}

// Leftovers counts what a run must not leave behind once its clients are done
// and its servers idle.
type Leftovers struct {
	// Goroutines are those beyond the number each server had before the run.
	Goroutines int
	// Connections are the database's and Redis's that no live pool accounts for.
	Connections int
	// AdvisoryLocks are those still held in the database.
	AdvisoryLocks int
	// Reservations are records still in flight although no handler runs.
	Reservations int
	// Expired are records that had expired, and yet were not swept in good time.
	Expired int
}
