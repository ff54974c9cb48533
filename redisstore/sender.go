package redisstore

import (
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/pgidem/pgidem/internal/convoy"
)

// together is what travels together: a server executes one command at a time, so
// two batches keep it busy.
var together = convoy.Limits{Batch: 64, Near: 2, Far: 16}

// errNeverSent ends a call whose caller had left before it was sent.
var errNeverSent = errors.New("redisstore: never sent")

// weeding is after how many callers that have left the calls which they have left
// behind are looked for.
const weeding = 1024

// sender sends calls to the server. Calls that come at the same time travel
// together, in one pipeline.
//
// On a Cluster or a Ring every call travels alone: one node that is slow must not
// hold up what goes to another.
type sender struct {
	store  *Store
	convoy *convoy.Convoy[*call] // nil: every call travels alone
	crew   *convoy.Crew[*call]   // carriers, or who brings a single call
	term   term
	gone   atomic.Int64 // callers that have left
}

func newSender(s *Store) *sender {
	d := &sender{store: s, term: term{limit: s.config.CallTimeout}}
	if _, one := s.client.(*redis.Client); one {
		d.crew = convoy.NewCrew(d.carry)
		d.convoy = convoy.New(together, d.crew.Start)
	} else {
		d.crew = convoy.NewCrew(d.alone)
	}
	return d
}

// send lets c travel.
func (d *sender) send(c *call) {
	if d.convoy == nil {
		d.crew.Start(c)
		return
	}
	d.convoy.Join(c)
}

// carry is a carrier's life: batch after batch, as long as there is something to
// carry.
func (d *sender) carry(first *call) {
	batch := []*call{first}
	for {
		batch = d.waitedFor(d.convoy.Take(batch))
		left := time.Now()
		switch len(batch) {
		case 0:
			d.convoy.End(time.Time{})
			return
		case 1:
			a := d.one(batch[0])
			d.convoy.Again(left)
			d.store.end(batch[0], a)
		default:
			sent := d.pipeline(batch)
			d.convoy.Again(left)
			for i, c := range batch {
				d.deliver(c, c.read(sent[i].(*redis.Cmd)))
			}
		}
		clear(batch)
		batch = batch[:0]
	}
}

// waitedFor drops the calls from batch that are not worth sending any more.
func (d *sender) waitedFor(batch []*call) []*call {
	return slices.DeleteFunc(batch, func(c *call) bool {
		if !c.isLeft() {
			return false
		}
		d.store.end(c, answer{err: errNeverSent})
		return true
	})
}

// left is told that a caller has left. While the network is silent the calls would
// pile up, and all be sent when it is back.
func (d *sender) left() {
	if d.convoy == nil || d.gone.Add(1)%weeding != 0 {
		return
	}
	for _, c := range d.convoy.Withdraw((*call).isLeft) {
		d.store.end(c, answer{err: errNeverSent})
	}
}

// pipeline sends a batch and returns the commands, with their answers.
func (d *sender) pipeline(batch []*call) []redis.Cmder {
	ctx := d.term.begin()
	pipe := d.store.client.Pipeline()
	sent := make([]redis.Cmder, len(batch))
	for i, c := range batch {
		sent[i] = c.command(ctx)
	}
	_ = pipe.BatchProcess(ctx, sent...) // only queues them
	// Each command has its own error, but where a hook has refused them all.
	if _, err := pipe.Exec(ctx); err != nil {
		for _, cmd := range sent {
			if c := cmd.(*redis.Cmd); c.Err() == nil && c.Val() == nil {
				c.SetErr(err)
			}
		}
	}
	return sent
}

// deliver ends c. One that the server refused goes again on its own: it may want
// the script's text, or the patience that go-redis has with a server that starts.
func (d *sender) deliver(c *call, a answer) {
	if isRefused(a.err) {
		go d.alone(c)
		return
	}
	d.store.end(c, a)
}

func (d *sender) alone(c *call) { d.store.end(c, d.one(c)) }

// one sends a single call, within the time for it. The answer must be learned
// even if the caller leaves.
func (d *sender) one(c *call) answer {
	ctx := errand{d.term.begin(), c.ctx}
	cmd := c.command(ctx)
	err := d.store.client.Process(ctx, cmd)
	if c.script != nil && redis.HasErrorPrefix(err, "NOSCRIPT") {
		cmd = c.commandWithText(ctx, d.store.client)
	}
	return c.read(cmd)
}
