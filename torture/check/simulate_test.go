package check_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"

	"github.com/pgidem/pgidem/torture/history"
)

const (
	opening = 1000
	quiet   = 20 * time.Second
	ttl     = 2 * time.Second
)

// kind is what kind of keys a simulation has.
type kind struct {
	brief      bool // records expire
	remembered bool // and leave word that they were there
	misused    bool // two requests come with each key
}

// simulation makes the history of a correct store: per key it draws when
// requests are sent, when they reach the store and when they end, and lets the
// store answer them in the order in which they reach it.
type simulation struct {
	kind
	rng  *rand.Rand
	run  history.Run
	runs int64
}

// simulate returns a correct history of twelve keys.
func simulate(mode string, seed uint64, keys kind) history.Run {
	s := &simulation{kind: keys, rng: rand.New(rand.NewPCG(seed, 0)), run: history.Run{
		Seed: seed, Mode: mode, Opening: opening, Quiet: quiet, Ended: quiet + 2*time.Second,
		Balances: map[int]int64{0: opening, 1: opening},
		Faults: []history.Fault{
			{Kind: "kill", Server: 1, At: time.Second},
			{Kind: "restart", At: 4 * time.Second, Lasted: time.Second},
		},
	}}
	for n := range 12 {
		s.key(fmt.Sprintf("tenant-%d", n%2), fmt.Sprintf("key-%d", n/2), n%2)
	}
	slices.SortFunc(s.run.Requests, func(a, b history.Request) int { return int(a.Ended - b.Ended) })
	for i := range s.run.Requests {
		s.run.Requests[i].ID = int64(i) + 1
	}
	return s.run
}

// otherAmount is added by the second of two requests with one key.
const otherAmount = 1000

// visit is a request and the moment at which it reaches the store.
type visit struct {
	history.Request
	at time.Duration
}

func (s *simulation) key(tenant, name string, account int) {
	amount := s.rng.Int64N(100) + 1
	visits := make([]visit, s.rng.IntN(8)+1)
	for i := range visits {
		visits[i] = s.visit(s.duration(8*time.Second), 2*time.Second)
	}
	slices.SortFunc(visits, func(a, b visit) int { return int(a.at - b.at) })
	// The last one comes when all is quiet.
	visits = append(visits, s.visit(quiet+s.duration(time.Second), time.Second))
	record := &record{s: s}
	for i, v := range visits {
		v.Tenant, v.Key, v.Account, v.Amount, v.Client = tenant, name, account, amount, i
		if s.brief {
			v.TTL, v.Remembered = ttl, s.remembered
		}
		if s.misused && s.rng.IntN(2) == 0 {
			v.Amount += otherAmount
		}
		record.serve(&v, i == len(visits)-1)
		s.run.Requests = append(s.run.Requests, v.Request)
	}
}

// visit draws a request's times. One in four is given up by its client, which
// may be before the request reaches the store.
func (s *simulation) visit(sent, longest time.Duration) visit {
	at := sent + s.duration(longest/2)
	v := visit{at: at, Request: history.Request{
		Server: s.rng.IntN(2) + 1, Sent: sent, Ended: at + s.duration(longest/2), Answered: true,
	}}
	if sent < quiet && s.rng.IntN(4) == 0 {
		v.Answered, v.Ended, v.Failure = false, sent+s.duration(longest), "timed out"
	}
	return v
}

func (s *simulation) duration(limit time.Duration) time.Duration {
	return time.Duration(s.rng.Int64N(int64(limit)-1) + 1)
}

// record is what a correct store keeps of one key.
type record struct {
	s      *simulation
	kept   *history.Request
	amount int64 // of the request that it is kept for
	until  time.Duration
}

// serve answers a request. In the quiet end every one gets its final answer.
func (r *record) serve(v *visit, isQuiet bool) {
	q := &v.Request
	over := r.s.brief && v.at >= r.until
	if over && !r.s.remembered {
		r.kept = nil
	}
	if r.kept != nil && isQuiet {
		q.Amount = r.amount
	}
	outcome := r.s.rng.IntN(8)
	switch {
	case r.kept != nil && q.Amount != r.amount:
		if q.Answered {
			problem(q, 422, "hash-mismatch")
		}
	case r.kept != nil && over:
		if q.Answered {
			problem(q, 409, "key-expired")
		}
	case r.kept != nil:
		r.answer(q, *r.kept)
		q.Replayed = q.Answered
	case outcome < 4 || isQuiet:
		r.runs(v)
	case !q.Answered:
	case outcome == 4:
		problem(q, 409, "in-flight")
	case outcome == 5:
		problem(q, 503, "store-unavailable")
	case outcome == 6:
		problem(q, 503, "commit-failed")
	default:
		q.Status, q.Body = 500, []byte("out of luck")
	}
}

// runs pays, or refuses for good, and now and then the client is told that the
// outcome is unknown.
func (r *record) runs(v *visit) {
	q := &v.Request
	kept := history.Request{Status: http.StatusPaymentRequired}
	r.s.runs++
	row := history.Row{ID: r.s.runs, Tenant: q.Tenant, Key: q.Key, Account: q.Account, Amount: q.Amount, PaidAt: v.at.Microseconds()}
	kept.Body, _ = json.Marshal(row)
	if r.s.rng.IntN(4) > 0 {
		r.s.run.Rows = append(r.s.run.Rows, row)
		r.s.run.Balances[q.Account] += q.Amount
		kept.Status = http.StatusCreated
	}
	kept.Header = http.Header{history.OwnerHeader: {history.Owner(q.Tenant, q.Key)}, "Location": {"/" + q.Key}}
	r.kept, r.amount, r.until = &kept, q.Amount, v.at+ttl
	if q.Answered && q.Sent < quiet && r.s.rng.IntN(6) == 0 {
		problem(q, 503, "outcome-unknown")
		return
	}
	r.answer(q, kept)
}

func (r *record) answer(q *history.Request, kept history.Request) {
	if q.Answered {
		q.Status, q.Header, q.Body = kept.Status, kept.Header.Clone(), slices.Clone(kept.Body)
		q.Header.Set("Date", fmt.Sprint(q.Ended))
	}
}

func problem(q *history.Request, status int, name string) {
	q.Status, q.Problem, q.Replayed, q.Body = status, name, false, nil
	q.Header = http.Header{"Content-Type": {"application/problem+json"}}
}
