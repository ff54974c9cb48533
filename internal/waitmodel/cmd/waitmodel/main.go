// Command waitmodel searches docs/model/wait.pml exhaustively: the protocol,
// where nothing may be wrong, and its wrong variants, which must be found. It
// installs spin where it is missing, on Debian as root. Run it in the root of
// the repository.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"sync"

	"github.com/pgidem/pgidem/internal/localproc"
	"github.com/pgidem/pgidem/internal/waitmodel"
)

func main() {
	model := flag.String("model", "docs/model/wait.pml", "file of the model")
	only := flag.String("only", "", "search only the runs whose name contains this, and show the way to an error")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := search(ctx, *model, *only); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func search(ctx context.Context, model, only string) error {
	if err := install(ctx); err != nil {
		return err
	}
	var runs []waitmodel.Run
	for _, run := range append(waitmodel.Protocol(), waitmodel.Wrong()...) {
		if strings.Contains(run.Name, only) {
			runs = append(runs, run)
		}
	}
	if len(runs) == 0 {
		return fmt.Errorf("no run has %q in its name", only)
	}
	fmt.Printf("%-46s %-28s %10s %8s %8s\n", "run", "found", "states", "MB", "seconds")
	errs := make([]error, len(runs))
	var all sync.WaitGroup
	slots := make(chan struct{}, max(2, runtime.NumCPU()/2))
	for i, run := range runs {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			errs[i] = check(ctx, model, run, only != "")
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

func check(ctx context.Context, model string, run waitmodel.Run, trail bool) error {
	result, err := waitmodel.Check(ctx, model, run)
	if err != nil {
		return fmt.Errorf("%s: %w", run.Name, err)
	}
	fmt.Printf("%-46s %-28s %10d %8.0f %8.1f\n", run.Name, result.Found, result.States, result.Megabytes, result.Took.Seconds())
	if trail {
		fmt.Print(result.Trail)
	}
	if result.Found != run.Want {
		return fmt.Errorf("%s: %s, want: %s (see -only)", run.Name, result.Found, run.Want)
	}
	return nil
}

func install(ctx context.Context) error {
	missing := func() bool {
		_, err := exec.LookPath("spin")
		return err != nil
	}
	if !missing() {
		return nil
	}
	fmt.Fprintln(os.Stderr, "spin is missing, installing Debian's package of that name")
	return localproc.Install(ctx, missing, "spin")
}
