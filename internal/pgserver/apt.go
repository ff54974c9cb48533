package pgserver

import (
	"context"
	"errors"

	"github.com/pgidem/pgidem/internal/localproc"
)

func installAndStart(ctx context.Context, options Options) (*Server, error) {
	if err := installPackage(ctx); err != nil {
		return nil, err
	}
	return Start(ctx, options)
}

// installPackage installs Debian's postgresql. It does nothing where binaries
// are: then it is not their absence that is wrong.
func installPackage(ctx context.Context) error {
	missing := func() bool {
		_, err := findBinaries()
		return errors.Is(err, errNoBinaries)
	}
	if !missing() {
		return errors.New("not tried, binaries are installed")
	}
	return localproc.Install(ctx, missing, "postgresql")
}
