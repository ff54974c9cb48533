package redisstore

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/redis/go-redis/v9"

	"github.com/pgidem/pgidem/idem"
)

// reply is what a script returned.
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

// call runs a script on key and returns its reply, or the error of ctx.
func (s *Store) call(ctx context.Context, script *redis.Script, key string, args ...any) (reply, error) {
	a, ok := s.callUnless(ctx, func(answer) {}, script, key, args...)
	if !ok {
		return nil, context.DeadlineExceeded
	}
	return a.reply, a.err
}

// callUnless runs a script in a goroutine of its own, because a client that is
// not told to heed contexts goes on reading when ctx has ended. If ctx ends first,
// or the time for a call is over, it returns false, and late is given the answer
// that nobody waits for any more.
func (s *Store) callUnless(ctx context.Context, late func(answer), script *redis.Script, key string, args ...any) (a answer, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, s.config.CallTimeout)
	done := make(chan answer)
	s.running.More()
	go func() {
		defer s.running.End()
		defer cancel()
		var a answer
		// The answer must be learned even if the caller leaves.
		a.reply, a.err = s.run(context.WithoutCancel(ctx), script, key, args)
		select {
		case done <- a:
		case <-ctx.Done():
			late(a)
		}
	}()
	select {
	case a = <-done:
		return a, true
	case <-ctx.Done():
		return a, false
	}
}

func (s *Store) run(ctx context.Context, script *redis.Script, key string, args []any) (reply, error) {
	ctx, cancel := context.WithTimeout(ctx, s.config.CallTimeout)
	defer cancel()
	return script.Run(ctx, s.client, []string{s.config.Prefix + key}, args...).Slice()
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
	var refused redis.Error
	var network *net.OpError
	switch {
	case errors.As(err, &refused), errors.Is(err, redis.ErrClosed):
		return false
	case errors.As(err, &network):
		return network.Op != "dial"
	}
	return true
}
