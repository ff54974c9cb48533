package redisstore

import (
	"context"
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"
)

func TestCallHasTheLimitAndAnEighthMoreAtMost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const limit = 8 * time.Second
		term := term{limit: limit}
		var before context.Context
		contexts := 0
		for range 100 {
			ctx := term.begin()
			if ctx != before {
				before, contexts = ctx, contexts+1
			}
			if at, ok := ctx.Deadline(); !ok || time.Until(at) < limit || time.Until(at) > limit+limit/8 {
				t.Fatalf("a call may take %v, want %v", time.Until(at), limit)
			}
			time.Sleep(limit / 80)
		}
		if contexts > 100/10 {
			t.Errorf("100 calls had %d contexts", contexts)
		}
		<-before.Done()
		if err := term.begin().Err(); err != nil {
			t.Errorf("a call that begins after a while: %v", err)
		}
	})
}

func TestCallThatMayTakeForEverIsNotOver(t *testing.T) {
	t.Parallel()
	for _, limit := range []time.Duration{math.MaxInt64, math.MaxInt64 / 9 * 8, time.Hour} {
		ctx := (&term{limit: limit}).begin()
		if at, ok := ctx.Deadline(); ctx.Err() != nil || !ok || time.Until(at) < limit-time.Minute {
			t.Errorf("%v: %v, until %v", limit, ctx.Err(), at)
		}
	}
}

// The values are for the client's hooks.
func TestCallHasTheValuesOfItsCallerWhoMayLeave(t *testing.T) {
	t.Parallel()
	type name struct{}
	synctest.Test(t, func(t *testing.T) {
		term := term{limit: time.Second}
		caller, leave := context.WithCancelCause(context.WithValue(t.Context(), name{}, "a"))
		ctx := errand{term.begin(), caller}
		below, cancel := context.WithCancel(ctx)
		defer cancel()
		leave(errors.New("the client has left"))
		synctest.Wait()
		if below.Value(name{}) != "a" || context.Cause(ctx) != nil || below.Err() != nil {
			t.Errorf("value %v, ended with %v and %v", below.Value(name{}), context.Cause(ctx), below.Err())
		}
		<-below.Done()
		if err := context.Cause(below); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("after its time: %v", err)
		}
	})
}
