package main

import (
	"context"
	"time"
)

const (
	// downTime is how long a killed server stays away.
	downTime = 700 * time.Millisecond
	// minInFlight is how many requests must be under way when it is killed, so
	// that there is something to lose.
	minInFlight = 8
	watchPeriod = 2 * time.Millisecond
)

// crash kills a server when a third of the payments are made, and starts it
// again with the given life; it returns when the new process listens, and tells
// which life was killed. When calm ends first, nothing is left to disturb, and
// that is 0.
func crash(ctx, calm context.Context, s *screen, storm *storm, victim *server, life int) (killed int, err error) {
	if !untilUnderWay(calm, storm) {
		s.event("no server was killed: the storm was over too soon")
		return 0, nil
	}
	busy := storm.tally.inFlight.Load()
	killed = victim.target().life
	victim.kill()
	s.event("%s (SIGKILL) with %d requests in flight", s.paint(red, "server "+victim.name+" killed"), busy)
	rest(ctx, downTime)
	if err := victim.start(ctx, life); err != nil {
		return 0, err
	}
	s.event("server %s started again", victim.name)
	return killed, nil
}

func untilUnderWay(ctx context.Context, storm *storm) bool {
	for ctx.Err() == nil {
		made := storm.tally.finished.Load()
		if made >= int64(len(storm.plan)/3) && storm.tally.inFlight.Load() >= minInFlight {
			return true
		}
		rest(ctx, watchPeriod)
	}
	return false
}
