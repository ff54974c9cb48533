package contend

import (
	"context"

	"golang.org/x/sync/errgroup"
)

// serveAll serves every key once, through each of the contenders.
func serveAll(ctx context.Context, keys []string, through ...Contender) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(16)
	for _, key := range keys {
		for _, c := range through {
			g.Go(func() error {
				_, err := c.Serve(ctx, Request{Key: key})
				return err
			})
		}
	}
	return g.Wait()
}
