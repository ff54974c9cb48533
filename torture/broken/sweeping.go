package broken

import (
	"context"
	"time"
)

// newSweeping returns the sound leases beside a sweep that takes every record
// without a future for expired: also those that are in flight, whose expiry is
// not known before their Commit.
func newSweeping(g Ground) Store {
	return Store{Store: g.Sound.Leased(), InTx: g.Sound.InTx, Sweep: sweepAlways(g,
		`DELETE FROM pgidem_records WHERE coalesce(expires_at, '-infinity') <= now()`)}
}

// newHasty returns the sound store beside a sweep that also takes what will
// expire soon. To most records that makes no difference that anybody sees.
func newHasty(g Ground) Store {
	return Store{Store: g.Sound, InTx: g.Sound.InTx, Sweep: sweepAlways(g,
		`DELETE FROM pgidem_records WHERE expires_at <= now() + interval '2 seconds'`)}
}

// newOblivious returns the sound store beside a sweep that takes every record that
// has expired: also those whose keys are to be refused.
func newOblivious(g Ground) Store {
	return Store{Store: g.Sound, InTx: g.Sound.InTx, Sweep: sweepAlways(g,
		`DELETE FROM pgidem_records WHERE expires_at <= now()`)}
}

func sweepAlways(g Ground, sql string) func(context.Context) {
	return func(ctx context.Context) {
		tick := time.NewTicker(250 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				_, _ = g.Pool.Exec(ctx, sql) // what fails now is swept next time
			case <-ctx.Done():
				return
			}
		}
	}
}
