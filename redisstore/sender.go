package redisstore

import (
	"context"
	"runtime"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// maxBatch bounds how many calls travel together.
	maxBatch = 64
	// nearCarriers bounds how many batches are under way at a time to a server
	// that answers soon: the fewer, the more travels in each. The time that a call
	// may wait for a carrier is short there.
	nearCarriers = 2
	// maxCarriers bounds it where a round trip takes long, or one that is under
	// way does.
	maxCarriers = 16
	// soon is how long a round trip takes at most that is worth waiting for.
	soon = 500 * time.Microsecond
)

// sender sends calls to the server. Calls that come at the same time travel
// together, in one pipeline: most of what a small command costs the process and
// the server is reading from and writing to a socket. No call waits for others to
// come: who comes while nobody collects makes a carrier set out, which lets the
// goroutines run that are ready to, and takes what is there then. Only when enough
// carriers are under way a call waits until one is back.
//
// On a Cluster or a Ring every call travels alone: one node that is slow must not
// hold up what goes to another.
type sender struct {
	store    *Store
	together bool

	// mu guards what follows.
	mu       sync.Mutex
	waiting  []*call
	carriers int
	// collecting: a carrier is about to take what waits.
	collecting bool
	// patrolled: somebody will look whether calls still wait when the carriers
	// under way should long be back.
	patrolled bool
	left      time.Time // when the last carrier left
	near      bool      // the last one that has come back was back soon
}

func newSender(s *Store) *sender {
	_, one := s.client.(*redis.Client)
	return &sender{store: s, together: one}
}

// send lets c travel.
func (d *sender) send(c *call) {
	if !d.together {
		go d.alone(c)
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.waiting = append(d.waiting, c)
	d.setOut()
	if !d.collecting && !d.patrolled {
		d.patrolled = true
		time.AfterFunc(soon, d.patrol)
	}
}

// patrol lets another carrier set out for calls that wait for one which is not
// back as soon as they were told, as when a connection has gone silent under it.
func (d *sender) patrol() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.patrolled = false
	if len(d.waiting) > 0 {
		d.setOut()
	}
}

// carry is a carrier's life: batch after batch, as long as there is something to
// carry.
func (d *sender) carry() {
	for {
		runtime.Gosched()
		batch := d.take()
		left := time.Now()
		switch len(batch) {
		case 0:
			return
		case 1:
			a := d.one(batch[0])
			d.back(left)
			d.store.end(batch[0], a)
		default:
			sent := d.pipeline(batch)
			d.back(left)
			for i, c := range batch {
				d.deliver(c, c.read(sent[i].(*redis.Cmd)))
			}
		}
	}
}

// take returns the next batch, or nil if the carrier is to end. What does not go
// into it is left to another carrier.
func (d *sender) take() []*call {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.collecting, d.left = false, time.Now()
	n := min(len(d.waiting), maxBatch)
	if n == 0 {
		d.carriers--
		return nil
	}
	batch := d.waiting[:n:n]
	if d.waiting = d.waiting[n:]; len(d.waiting) == 0 {
		d.waiting = nil
	} else {
		d.setOut()
	}
	return batch
}

// setOut makes one more carrier collect, unless one does or there are enough. The
// caller holds mu.
func (d *sender) setOut() {
	enough := maxCarriers
	if d.near && time.Since(d.left) < soon {
		enough = nearCarriers
	}
	if !d.collecting && d.carriers < enough {
		d.collecting = true
		d.carriers++
		go d.carry()
	}
}

// back makes the callers that get their answers now leave their next calls to this
// carrier, which left at the given time.
func (d *sender) back(left time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.collecting, d.near = true, time.Since(left) < soon
}

// pipeline sends a batch and returns the commands, with their answers.
func (d *sender) pipeline(batch []*call) []redis.Cmder {
	ctx, cancel := context.WithTimeout(context.Background(), d.store.config.CallTimeout)
	defer cancel()
	pipe := d.store.client.Pipeline()
	sent := make([]redis.Cmder, len(batch))
	for i, c := range batch {
		sent[i] = c.command(ctx)
	}
	_ = pipe.BatchProcess(ctx, sent...) // only queues them
	_, _ = pipe.Exec(ctx)               // each command has its own error
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
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.ctx), d.store.config.CallTimeout)
	defer cancel()
	cmd := c.command(ctx)
	err := d.store.client.Process(ctx, cmd)
	if c.script != nil && redis.HasErrorPrefix(err, "NOSCRIPT") {
		cmd = c.commandWithText(ctx, d.store.client)
	}
	return c.read(cmd)
}
