package localproc

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// readyPoll is how often a starting server is asked; a start takes some 50 ms.
const readyPoll = 5 * time.Millisecond

// awaitReady is [Await] for a server that has just been started, for limit.
func (p *process) awaitReady(ctx context.Context, limit time.Duration, ask func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return Await(ctx, p.exited, ask)
}

// Await returns when ask does so without an error: when the server does what it
// is there for, and not when it merely runs. It gives up when exited is closed,
// unless that is nil, or when ctx ends, and then the error holds ask's last one.
func Await(ctx context.Context, exited <-chan struct{}, ask func(context.Context) error) error {
	tick := time.NewTicker(readyPoll)
	defer tick.Stop()
	for {
		err := ask(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-exited:
			return errors.New("the server exited")
		case <-ctx.Done():
			return fmt.Errorf("%w, last: %w", ctx.Err(), err)
		case <-tick.C:
		}
	}
}
