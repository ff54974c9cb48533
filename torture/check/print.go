package check

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/pgidem/pgidem/torture/history"
)

// Print writes the verdict on run: its counts, each violation, and the whole
// history of every key that is named by one, in the order of time.
func Print(w io.Writer, run history.Run, v Verdict) error {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d, %s, %v\n", run.Seed, run.Mode, run.Ended.Round(time.Millisecond))
	v.Counts.print(&b)
	for _, r := range v.byRule() {
		fmt.Fprintf(&b, "%-18s %d\n", r, v.times(r))
	}
	told := make(map[keyName]bool)
	for _, f := range v.Violations {
		fmt.Fprintf(&b, "\nVIOLATED %s: %s\n", f.Rule, f)
		if id := (keyName{f.Tenant, f.Key}); f.Key != "" && !told[id] {
			told[id] = true
			printKey(&b, run, id)
		}
	}
	if v.OK() {
		b.WriteString("nothing violated\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// String names the key and the requests that f is about.
func (f Finding) String() string {
	if f.Key == "" {
		return f.Detail
	}
	return fmt.Sprintf("%s (key %s, requests %v, rows %v)", f.Detail, history.Owner(f.Tenant, f.Key), f.Requests, f.Rows)
}

func (c Counts) print(b *strings.Builder) {
	fmt.Fprintf(b, "%d requests for %d keys, of which %d more than once: %d ran, %d replayed, %d refused, %d unanswered; %d rows\n",
		c.Requests, c.Keys, c.Retried, c.Fresh, c.Replayed, c.Refused, c.Unanswered, c.Rows)
	fmt.Fprintf(b, "%d ran again after the record had expired, %d were refused since it had, %d mismatched\n", c.Again, c.Expired, c.Mismatched)
	for _, kind := range slices.Sorted(maps.Keys(c.Tries)) {
		fmt.Fprintf(b, "fault %-24s %d", kind, c.Faults[kind])
		if c.Missed[kind] > 0 || c.Tries[kind] > c.Faults[kind] {
			fmt.Fprintf(b, ", %d met nobody, %d tries", c.Missed[kind], c.Tries[kind])
		}
		b.WriteString("\n")
	}
	fmt.Fprintf(b, "longest unusable key %v (%s, from %v on)\n", c.Longest.Length.Round(time.Millisecond),
		history.Owner(c.Longest.Tenant, c.Longest.Key), c.Longest.From.Round(time.Millisecond))
}

// byRule are the rules of all findings, violations first.
func (v Verdict) byRule() (rules []Rule) {
	for _, f := range slices.Concat(v.Violations, v.Reports) {
		if !slices.Contains(rules, f.Rule) {
			rules = append(rules, f.Rule)
		}
	}
	return rules
}

func (v Verdict) times(rule Rule) (n int) {
	for _, f := range slices.Concat(v.Violations, v.Reports) {
		if f.Rule == rule {
			n++
		}
	}
	return n
}

// moment is one line of a key's history.
type moment struct {
	at   time.Duration
	text string
}

func printKey(b *strings.Builder, run history.Run, id keyName) {
	for _, m := range momentsOf(run, id) {
		fmt.Fprintf(b, "  %12s  %s\n", m.at.Round(time.Microsecond), m.text)
	}
	for _, row := range run.Rows {
		if row.Tenant == id.tenant && row.Key == id.key {
			fmt.Fprintf(b, "  %12s  %+v\n", "row", row)
		}
	}
}

func momentsOf(run history.Run, id keyName) (moments []moment) {
	var first, last time.Duration = run.Ended, 0
	for _, r := range run.Requests {
		if r.Tenant != id.tenant || r.Key != id.key {
			continue
		}
		first, last = min(first, r.Sent), max(last, r.Ended)
		moments = append(moments,
			moment{r.Sent, fmt.Sprintf("-> request %d of client %d to server %d: %d for account %d", r.ID, r.Client, r.Server, r.Amount, r.Account)},
			moment{r.Ended, fmt.Sprintf("<- request %d: %s", r.ID, told(r))})
	}
	for _, f := range run.Faults {
		if f.At <= last && f.At+f.Lasted >= first {
			moments = append(moments, moment{f.At, fmt.Sprintf("!! %s of server %d for %v", f.Kind, f.Server, f.Lasted)})
		}
	}
	slices.SortStableFunc(moments, func(a, b moment) int { return cmp.Compare(a.at, b.at) })
	return moments
}

// told is what the client was told, in one line.
func told(r history.Request) string {
	if !r.Answered {
		return "no answer: " + r.Failure
	}
	from := ""
	if r.Replayed {
		from = ", a replay"
	}
	return strings.TrimSpace(fmt.Sprintf("%d %s%s, digest %s, for %q: %.120q", r.Status, r.Problem, from, digest(r), owner(r.Header), r.Body))
}
