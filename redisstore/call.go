package redisstore

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/pgidem/pgidem/idem"
)

// reply is what a call of the server returned: a kind, and what belongs to it.
type reply []any

// kind is the reply's first word.
func (r reply) kind() string { return r.text(0) }

func (r reply) text(i int) string {
	if i >= len(r) {
		return ""
	}
	s, _ := r[i].(string)
	return s
}

func (r reply) number(i int) int64 {
	if i >= len(r) {
		return 0
	}
	n, _ := r[i].(int64)
	return n
}

// answer is the end of a call.
type answer struct {
	reply reply
	err   error
}

// call is a command on its way to the server.
type call struct {
	ctx    context.Context // of the caller, who may leave earlier
	script *redis.Script   // nil: args are a plain command
	key    string          // of a script
	args   []any
	// late is given an answer that nobody waits for any more. It may be nil.
	late func(answer)
	// leave notes that the caller has left, until settled is called. It may be
	// nil.
	leave func() (settled func())

	// over is set by whoever comes first: the caller that leaves, or the answer.
	over   atomic.Bool
	done   chan struct{} // has a value when the answer came first
	answer answer

	settled func() // of leave
}

// run runs a script on key and returns its reply, or the error of ctx.
func (s *Store) run(ctx context.Context, script *redis.Script, key string, args ...any) (reply, error) {
	a, ok := s.await(&call{ctx: ctx, script: script, key: s.config.Prefix + key, args: args})
	if !ok {
		return nil, context.DeadlineExceeded
	}
	return a.reply, a.err
}

// await has c sent by another goroutine, because a client that is not told to heed
// contexts goes on reading when the caller's has ended. If that ends first, or the
// time for a call is over, await returns false.
func (s *Store) await(c *call) (a answer, ok bool) {
	c.done = make(chan struct{}, 1)
	s.running.More()
	s.sender.send(c)
	timer := patience.Get().(*time.Timer)
	timer.Reset(s.config.CallTimeout)
	defer func() {
		timer.Stop()
		patience.Put(timer)
	}()
	select {
	case <-c.done:
		return c.answer, true
	case <-c.ctx.Done():
	case <-timer.C:
	}
	if c.abandon() {
		return answer{}, false
	}
	<-c.done // the answer came in this very moment
	return c.answer, true
}

// patience has timers that are stopped.
var patience = sync.Pool{New: func() any {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return t
}}

// abandon returns false if there is an answer already.
func (c *call) abandon() bool {
	if c.leave == nil {
		return c.over.CompareAndSwap(false, true)
	}
	// Before the answer can meet it.
	c.settled = c.leave()
	if c.over.CompareAndSwap(false, true) {
		return true
	}
	c.settled()
	return false
}

// end gives c its answer.
func (s *Store) end(c *call, a answer) {
	if c.answer = a; c.over.CompareAndSwap(false, true) {
		c.done <- struct{}{}
		s.running.End()
		return
	}
	go func() {
		defer s.running.End()
		if c.late != nil {
			c.late(a)
		}
		if c.settled != nil {
			c.settled()
		}
	}()
}

// command is what a client sends for c.
func (c *call) command(ctx context.Context) *redis.Cmd {
	if c.script == nil {
		return redis.NewCmd(ctx, c.args...)
	}
	args := make([]any, 0, 4+len(c.args))
	return redis.NewCmd(ctx, append(append(args, "evalsha", c.script.Hash(), 1, c.key), c.args...)...)
}

// itIsFree is what a plain command has found that found nothing.
var itIsFree = reply{replyFresh}

// read takes the answer out of a command that was sent. A plain command, a SET
// that writes only where nothing is, answers like the script that reserves.
func (c *call) read(cmd *redis.Cmd) answer {
	switch value, err := cmd.Result(); {
	case c.script == nil && errors.Is(err, redis.Nil):
		return answer{reply: itIsFree}
	case err != nil:
		return answer{err: err}
	case c.script == nil:
		return answer{reply: reply{replyHeld, value}}
	default:
		values, _ := value.([]any)
		return answer{reply: values}
	}
}

// unavailable is the error of a call that has failed.
func unavailable(err error) error {
	switch {
	case redis.HasErrorPrefix(err, "WRONGTYPE"):
		return unreadable("%w", err)
	case errors.Is(err, redis.ErrClosed):
		return fmt.Errorf("%w: %w", errClosed(), err)
	}
	return fmt.Errorf("redisstore: %w: %w", idem.ErrStoreUnavailable, err)
}

// mayHaveRun tells whether a call that failed with err may have changed
// something: not if the server refused it or was never reached.
func mayHaveRun(err error) bool {
	var network *net.OpError
	switch {
	case isRefused(err), errors.Is(err, redis.ErrClosed):
		return false
	case errors.As(err, &network):
		return network.Op != "dial"
	}
	return true
}

// isRefused tells whether the server has answered with an error.
func isRefused(err error) bool {
	if err == nil {
		return false
	}
	var refused redis.Error
	return errors.As(err, &refused)
}
