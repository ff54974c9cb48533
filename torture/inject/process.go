package inject

import (
	"context"
	"time"

	"github.com/pgidem/pgidem/torture/plan"
	"github.com/pgidem/pgidem/torture/site"
)

func kill(_ context.Context, s *site.Site, f plan.Fault) (End, error) {
	server := s.Server(f.Server)
	return func(ctx context.Context) error { return startAgain(ctx, server) }, server.Kill()
}

// startAgain starts a server until it runs, as a supervisor would: it may meet
// another fault that does not let it begin.
func startAgain(ctx context.Context, server *site.Server) error {
	tick := time.NewTicker(restartEvery)
	defer tick.Stop()
	for {
		err := server.Start(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return err
		}
	}
}

const restartEvery = 200 * time.Millisecond

func freeze(_ context.Context, s *site.Site, f plan.Fault) (End, error) {
	server := s.Server(f.Server)
	return func(context.Context) error { return server.Thaw() }, server.Freeze()
}

func jumpClock(ctx context.Context, s *site.Site, f plan.Fault) (End, error) {
	server := s.Server(f.Server)
	return func(ctx context.Context) error { return server.SetClock(ctx, 0) }, server.SetClock(ctx, f.Size)
}

// restartPostgres stops the database without a checkpoint, so that its start is
// a recovery.
func restartPostgres(_ context.Context, s *site.Site, _ plan.Fault) (End, error) {
	return s.Postgres.Resume, s.Postgres.Halt()
}

func restartRedis(_ context.Context, s *site.Site, _ plan.Fault) (End, error) {
	return s.Redis.Resume, s.Redis.Halt()
}
