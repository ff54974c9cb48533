package main

import (
	"context"
	"fmt"

	"github.com/pgidem/pgidem/bench/internal/delayline"
)

// pings is how many round trips are measured at each distance.
const pings = 2000

// runPing says how long a round trip takes directly and through delay lines.
func runPing(ctx context.Context, o options) error {
	echo, stop, err := delayline.Echo()
	if err != nil {
		return err
	}
	defer stop()
	for _, rtt := range o.rtts {
		addr := echo
		if rtt > 0 {
			line, err := delayline.Start(ctx, echo, rtt/2)
			if err != nil {
				return err
			}
			defer func() { _ = line.Close() }()
			addr = line.Addr()
		}
		fastest, median, err := delayline.RoundTrips(addr, pings)
		if err != nil {
			return err
		}
		fmt.Printf("%v added: a round trip takes %v at the fastest and %v in the median of %d\n", rtt, fastest, median, pings)
	}
	return nil
}
