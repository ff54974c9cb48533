// Package inject makes the faults of a plan happen at a site.
package inject

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pgidem/pgidem/torture/netfault"
	"github.com/pgidem/pgidem/torture/plan"
	"github.com/pgidem/pgidem/torture/site"
)

// ErrImpossible: the fault cannot be injected where the run happens.
var ErrImpossible = errors.New("inject: not possible here")

// ErrNoVictim: the fault was there, and nobody has met it.
var ErrNoVictim = errors.New("inject: nobody was met")

// patience bounds what a fault does on a server of the site.
const patience = 30 * time.Second

// End takes a fault back. ErrNoVictim is no failure of it.
type End func(context.Context) error

// fault begins a fault and returns what ends it; nil if it is over at once.
type fault func(context.Context, *site.Site, plan.Fault) (End, error)

var faults = map[plan.Kind]fault{
	plan.Kill:              kill,
	plan.Freeze:            freeze,
	plan.LoseHost:          loseHost,
	plan.ClockJump:         jumpClock,
	plan.TerminateBackend:  terminateBackend,
	plan.TerminateListener: terminateListener,
	plan.RestartPostgres:   restartPostgres,
	plan.RestartRedis:      restartRedis,
	plan.Cut:               onLink(func(p *netfault.Proxy, f plan.Fault) { p.Cut(f.Harsh) }),
	plan.CutInside:         onLink(cutInside),
	plan.SilenceToServer:   onLink(func(p *netfault.Proxy, _ plan.Fault) { p.Silence(netfault.ToServer) }),
	plan.SilenceToClient:   onLink(func(p *netfault.Proxy, _ plan.Fault) { p.Silence(netfault.ToClient) }),
	plan.Delay:             onLink(func(p *netfault.Proxy, f plan.Fault) { p.Delay(time.Duration(f.Size) * time.Millisecond) }),
	plan.Slow:              onLink(func(p *netfault.Proxy, f plan.Fault) { p.Throttle(f.Size) }),
	plan.Refuse:            onLink(func(p *netfault.Proxy, _ plan.Fault) { p.Refuse(true) }),
	plan.ReadOnly:          readOnly,
	plan.FullDisk:          fillDisk,
	plan.LockTable:         lockTable,
}

// Begin begins a fault and returns what ends it, which must be called.
func Begin(ctx context.Context, s *site.Site, f plan.Fault) (End, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	begin, ok := faults[f.Kind]
	if !ok {
		return nil, fmt.Errorf("inject: no fault %q", f.Kind)
	}
	end, err := begin(ctx, s, f)
	if err != nil {
		return nil, fmt.Errorf("inject: %s: %w", f.Kind, err)
	}
	return bounded(end), nil
}

// bounded gives an end time of its own: a fault is taken back even when the run
// is broken off.
func bounded(end End) End {
	return func(ctx context.Context) error {
		if end == nil {
			return nil
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		defer cancel()
		return end(ctx)
	}
}
