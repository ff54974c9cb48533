package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/pgidem/pgidem/torture/check"
	"github.com/pgidem/pgidem/torture/history"
	"github.com/pgidem/pgidem/torture/server"
)

// errBroken: the verdict is bad. What is wrong has been printed.
var errBroken = errors.New("the promise is broken, see above")

// errHarmless: the run does not prove what it was made for.
var errHarmless = errors.New("a kind of fault has met nobody, see above")

// maxUnusable bounds how long a key may be unusable at any time. Each fault may
// cost it as much as the last one does, and a few that follow each other hit
// just the server that it is tried on.
const maxUnusable = 8 * server.Unusable

func limits() check.Limits { return check.Limits{MaxUnusable: maxUnusable} }

// judge prints what has happened and what is to be said of it.
func (r *run) judge() error {
	if r.options.history != "" {
		if err := history.Save(r.options.history, r.result); err != nil {
			return err
		}
	}
	r.printMissed(os.Stdout)
	printAnswers(os.Stdout, r.result)
	fmt.Printf("client %-23s %d\nclient %-23s %d\n", "timed out", r.crowd.TimedOut.Load(), "hung up", r.crowd.HungUp.Load())
	fmt.Printf("left: %+v\n", r.result.Leftovers)
	for _, stacks := range r.stacks {
		fmt.Println("a server has left goroutines:", stacks)
	}
	return errors.Join(verdict(os.Stdout, r.result), judgeFaults(os.Stdout, r.result.Faults), r.judgeQuiet(), r.judgeServers())
}

// judgeServers judges how the servers' processes have lived and ended.
func (r *run) judgeServers() error {
	complaints, err := r.site.Complaints()
	for _, complaint := range complaints {
		fmt.Println("a server complained:", complaint)
	}
	if len(complaints) > 0 {
		err = errors.Join(err, fmt.Errorf("%d servers complained: %w", len(complaints), errBroken))
	}
	if r.unwell != nil {
		err = errors.Join(err, fmt.Errorf("%w: %w", errBroken, r.unwell))
	}
	return err
}

func verdict(w io.Writer, run history.Run) error {
	v := check.Check(run, limits())
	shown := v
	shown.Violations = v.Violations[:min(len(v.Violations), maxShown)]
	err := errors.Join(check.Print(w, run, shown), summarize(w, v, len(shown.Violations)))
	if err == nil && !v.OK() {
		err = errBroken
	}
	return err
}

// maxShown is how many violations are printed with all that belongs to them. A
// store that is broken breaks more than anybody reads.
const maxShown = 10

// summarize prints the lines that a run is made for.
func summarize(w io.Writer, v check.Verdict, shown int) error {
	counts := make(map[check.Rule]int)
	for _, f := range v.Violations {
		counts[f.Rule]++
	}
	text := fmt.Sprintf("duplicates %d, lost %d, wrong bytes %d",
		counts[check.DuplicateRow]+counts[check.RanTwice],
		counts[check.LostKey]+counts[check.MissingRow],
		counts[check.DifferentAnswers]+counts[check.ForeignAnswer]+counts[check.WrongRow])
	for _, rule := range slices.Sorted(maps.Keys(counts)) {
		text += fmt.Sprintf(", %s %d", rule, counts[rule])
	}
	if more := len(v.Violations) - shown; more > 0 {
		text += fmt.Sprintf(" (%d of them not shown)", more)
	}
	_, err := fmt.Fprintln(w, text)
	return err
}

// judgeQuiet judges how fast keys came back when nothing disturbed them.
func (r *run) judgeQuiet() error {
	u := r.unusable
	fmt.Printf("longest unusable key once all was well: %v of %v allowed (%s)\n",
		u.Length.Round(time.Millisecond), server.Unusable, history.Owner(u.Tenant, u.Key))
	if u.Length > server.Unusable {
		return fmt.Errorf("a key stayed unusable: %w", errBroken)
	}
	return nil
}

func (r *run) printMissed(w io.Writer) {
	r.torment.mu.Lock()
	defer r.torment.mu.Unlock()
	for _, kind := range slices.Sorted(maps.Keys(r.torment.missed)) {
		m := r.torment.missed[kind]
		_, _ = fmt.Fprintf(w, "%d times %s met nobody, at last: %v\n", m.count, kind, m.why)
	}
}

// enoughFaults are so many of one kind that one of them must have met somebody.
// A short run has fewer of some kinds.
const enoughFaults = 3

// judgeFaults wants every kind of fault to have met somebody: what nobody meets
// proves nothing.
func judgeFaults(w io.Writer, faults []history.Fault) error {
	injected, met := make(map[string]int), make(map[string]bool)
	for _, f := range faults {
		injected[f.Kind]++
		met[f.Kind] = met[f.Kind] || !f.Missed
	}
	var err error
	for _, kind := range slices.Sorted(maps.Keys(injected)) {
		if injected[kind] >= enoughFaults && !met[kind] {
			_, _ = fmt.Fprintf(w, "none of %d %s has met anybody\n", injected[kind], kind)
			err = errHarmless
		}
	}
	return err
}

// printAnswers counts the answers by what they say.
func printAnswers(w io.Writer, run history.Run) {
	counts := make(map[string]int)
	for _, a := range run.Requests {
		if a.Answered {
			counts[fmt.Sprintf("%d %s", a.Status, a.Problem)]++
		} else {
			counts["none"]++
		}
	}
	for _, what := range slices.Sorted(maps.Keys(counts)) {
		_, _ = fmt.Fprintf(w, "answer %-23s %d\n", what, counts[what])
	}
}

// recheck judges a history that was written before.
func recheck(name string) error {
	run, err := history.Load(name)
	if err != nil {
		return err
	}
	printAnswers(os.Stdout, run)
	return errors.Join(verdict(os.Stdout, run), judgeFaults(os.Stdout, run.Faults))
}
