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

// OwnLegs are the two ways to a server of our own: from the binaries that find
// finds on this machine, and on Debian as root from packages that are installed
// for it. Nothing is installed where binaries are: then it is not their absence
// that is wrong.
func OwnLegs[S any](find func() (string, error), start func(ctx context.Context, found string) (S, error), packages ...string) []Leg[S] {
	local := func(ctx context.Context) (none S, err error) {
		found, err := find()
		if err != nil {
			return none, err
		}
		return start(ctx, found)
	}
	install := func(ctx context.Context) (none S, err error) {
		missing := func() bool {
			_, err := find()
			return err != nil
		}
		if !missing() {
			return none, errors.New("not tried, binaries are installed")
		}
		if err := Install(ctx, missing, packages...); err != nil {
			return none, err
		}
		return local(ctx)
	}
	return []Leg[S]{{Name: "local binaries", Start: local}, {Name: "Debian package", Start: install}}
}
