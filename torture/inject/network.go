package inject

import (
	"context"

	"github.com/pgidem/pgidem/torture/netfault"
	"github.com/pgidem/pgidem/torture/plan"
	"github.com/pgidem/pgidem/torture/site"
)

// onLink makes a fault of what a proxy does.
func onLink(begin func(*netfault.Proxy, plan.Fault)) fault {
	return func(_ context.Context, s *site.Site, f plan.Fault) (End, error) {
		link := s.Server(f.Server).ToPostgres
		if f.Redis {
			link = s.Server(f.Server).ToRedis
		}
		before := link.Victims()
		begin(link, f)
		return func(context.Context) error {
			met := link.Victims() > before // taking it back may cut, too
			link.Heal(f.Harsh && silences(f.Kind))
			if !met {
				return ErrNoVictim
			}
			return nil
		}, nil
	}
}

func silences(kind plan.Kind) bool {
	return kind == plan.SilenceToServer || kind == plan.SilenceToClient
}

// cutInside cuts where the bytes of the answers end, or those of the questions.
func cutInside(p *netfault.Proxy, f plan.Fault) {
	way := netfault.ToServer
	if f.Harsh {
		way = netfault.ToClient
	}
	p.CutAfter(f.Size, way)
}
