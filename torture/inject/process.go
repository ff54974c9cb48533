package inject

import (
	"context"

	"github.com/pgidem/pgidem/torture/netfault"
	"github.com/pgidem/pgidem/torture/plan"
	"github.com/pgidem/pgidem/torture/site"
)

// kill is taken back as a supervisor would do it: the next process may meet a
// fault that does not let it begin.
func kill(_ context.Context, s *site.Site, f plan.Fault) (End, error) {
	server := s.Server(f.Server)
	return func(ctx context.Context) error {
		return patiently(ctx, func() error { return server.Start(ctx) })
	}, server.Kill()
}

// loseHost lets the server vanish: its sessions stay open, and nobody tells the
// database that there is no one behind them.
func loseHost(ctx context.Context, s *site.Site, f plan.Fault) (End, error) {
	server := s.Server(f.Server)
	for _, link := range server.Links() {
		link.Silence(netfault.ToServer)
		link.Silence(netfault.ToClient)
	}
	heal := func() {
		for _, link := range server.Links() {
			link.Heal(true)
		}
	}
	start, err := kill(ctx, s, f)
	if err != nil {
		heal()
		return nil, err
	}
	return func(ctx context.Context) error {
		heal()
		return start(ctx)
	}, nil
}

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
