package broken

import (
	"context"
	"time"
)

// newSweeping returns the sound leases beside a sweep that takes every record
// without a future for expired: also those that are in flight, whose expiry is
// not known before their Commit.
func newSweeping(g Ground) Store {
	return Store{Store: g.Sound.Leased(), InTx: g.Sound.InTx, Sweep: func(ctx context.Context) {
		tick := time.NewTicker(250 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				// What fails now is swept next time.
				_, _ = g.Pool.Exec(ctx, `DELETE FROM pgidem_records WHERE coalesce(expires_at, '-infinity') <= now()`)
			case <-ctx.Done():
				return
			}
		}
	}}
}
