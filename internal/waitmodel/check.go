package waitmodel

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const (
	// memoryLimit, in megabytes, makes a search fail rather than the machine.
	memoryLimit = 2000
	// maxDepth is far more than any search needs; one that did would say so.
	maxDepth = 200_000
)

// Result is what a search has shown.
type Result struct {
	Found  Finding
	States int
	// Megabytes of memory, and how long the search took without the translation.
	Megabytes float64
	Took      time.Duration
	// Trail is how it comes to the error, step by step, "" if there is none.
	Trail string
}

// Check searches the model in the file named model in every order of events.
// It needs spin and a C compiler. An error means that there was no search.
func Check(ctx context.Context, model string, run Run) (Result, error) {
	source, err := os.ReadFile(model)
	if err != nil {
		return Result{}, err
	}
	dir, err := os.MkdirTemp("", "pgidem-model-")
	if err != nil {
		return Result{}, err
	}
	defer os.RemoveAll(dir)
	if err := os.WriteFile(filepath.Join(dir, "wait.pml"), source, 0o600); err != nil {
		return Result{}, err
	}
	return search(ctx, dir, run)
}

func search(ctx context.Context, dir string, run Run) (Result, error) {
	if _, err := command(ctx, dir, "spin", append(run.spinSwitches(), "-a", "wait.pml")...); err != nil {
		return Result{}, err
	}
	if _, err := command(ctx, dir, "cc", run.compilation()...); err != nil {
		return Result{}, err
	}
	begun := time.Now()
	report, err := command(ctx, dir, "./pan", run.options()...)
	took := time.Since(begun)
	if err != nil {
		return Result{}, err
	}
	result := read(report)
	result.Took = took
	if _, err := os.Stat(filepath.Join(dir, "wait.pml.trail")); err == nil {
		// Its end is said to be an error as well, and is what is wanted here.
		result.Trail, _ = command(ctx, dir, "spin", append(run.spinSwitches(), "-t", "-p", "wait.pml")...)
	}
	return result, nil
}

func (r Run) spinSwitches() []string {
	var switches []string
	for _, s := range r.Switches {
		switches = append(switches, "-D"+s)
	}
	return switches
}

func (r Run) compilation() []string {
	kind := "-DSAFETY"
	if r.Loops {
		kind = "-DNP"
	}
	// The code is spin's, and so are its warnings. Optimizing it takes longer than
	// it saves.
	return []string{"-w", "-O0", kind, "-DVECTORSZ=2048", fmt.Sprintf("-DMEMLIM=%d", memoryLimit), "-o", "pan", "pan.c"}
}

func (r Run) options() []string {
	options := []string{"-n", fmt.Sprintf("-m%d", maxDepth)}
	if r.Loops {
		return append(options, "-l")
	}
	return options
}

func command(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s: %w\n%s", cmd, err, out)
	}
	return string(out), err
}

var (
	statesPattern = regexp.MustCompile(`(\d+) states, stored`)
	memoryPattern = regexp.MustCompile(`([\d.]+)\s+total actual memory usage`)
)

// read takes the figures and the finding from a report of pan.
func read(report string) Result {
	var r Result
	if m := statesPattern.FindStringSubmatch(report); m != nil {
		r.States, _ = strconv.Atoi(m[1])
	}
	if m := memoryPattern.FindStringSubmatch(report); m != nil {
		r.Megabytes, _ = strconv.ParseFloat(m[1], 64)
	}
	r.Found = finding(report)
	return r
}

// finding reads what was found. A search that was cut off has found nothing
// wrong only so far, and does not count.
func finding(report string) Finding {
	for _, f := range []struct {
		says string
		is   Finding
	}{
		{"pan:1: assertion violated", Assertion},
		{"pan:1: invalid end state", Stuck},
		{"pan:1: non-progress cycle", BusyLoop},
		{"Search not completed", Incomplete},
		{"max search depth too small", Incomplete},
		{"errors: 0", Nothing},
	} {
		if strings.Contains(report, f.says) {
			return f.is
		}
	}
	return Incomplete
}
