package contend

import (
	"context"
	"sync"
)

// oracle makes a reference of a storm: the first of the clients who send the same
// request together is served by the Contender, and its answer is handed to the
// others inside this process, which costs next to nothing. No protection can do
// less.
type oracle struct {
	Contender
	served sync.Map // key to the channel that is closed once it is served
}

func (o *oracle) Serve(ctx context.Context, r Request) (bool, error) {
	if !r.Together {
		return o.Contender.Serve(ctx, r)
	}
	done := make(chan struct{})
	if earlier, loaded := o.served.LoadOrStore(r.Key, done); loaded {
		select {
		case <-earlier.(chan struct{}):
			return false, nil
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
	defer close(done)
	return o.Contender.Serve(ctx, r)
}
