package site

import (
	"context"
	"math"
	"time"
)

// clockReadings are how often the clock is read: the reading that took the
// least time is the best.
const clockReadings = 20

// ClockAtStart returns what the database's clock told, in microseconds since
// 1970, when now was zero.
func (s *Site) ClockAtStart(ctx context.Context, now func() time.Duration) (start int64, err error) {
	conn, err := s.Connect(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close(ctx) }()
	shortest := time.Duration(math.MaxInt64)
	for range clockReadings {
		var clock int64
		before := now()
		err := conn.QueryRow(ctx, "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint").Scan(&clock)
		if err != nil {
			return 0, err
		}
		if took := now() - before; took < shortest {
			shortest, start = took, clock-(before+took/2).Microseconds()
		}
	}
	return start, nil
}
