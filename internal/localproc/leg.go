package localproc

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Leg is one way to a server of type S.
type Leg[S any] struct {
	// Name says what is tried, as "Docker".
	Name string
	// Start returns a server that is ready, or why there is none this way.
	Start func(context.Context) (S, error)
}

// ErrDecisive marks the failure of what was asked for by name: to take something
// else in its place would test what nobody wanted to test.
var ErrDecisive = errors.New("asked for by name, so nothing else is tried")

// First returns the server of the first leg that has one. Otherwise the error
// says what was wanted, and names the reason of each leg.
func First[S any](ctx context.Context, wanted string, legs []Leg[S]) (none S, err error) {
	var reasons []string
	for _, leg := range legs {
		server, err := leg.Start(ctx)
		if err == nil {
			return server, nil
		}
		if errors.Is(err, ErrDecisive) || ctx.Err() != nil {
			return none, fmt.Errorf("%s: %w", leg.Name, err)
		}
		reasons = append(reasons, fmt.Sprintf("  - %s: %v", leg.Name, err))
	}
	return none, fmt.Errorf("%s. Tried:\n%s", wanted, strings.Join(reasons, "\n"))
}
