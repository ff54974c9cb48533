package check

import (
	"fmt"
	"math"
	"time"
)

// Stretch is a time in which a key was asked for and had no final answer.
type Stretch struct {
	Tenant string
	Key    string
	From   time.Duration
	Length time.Duration
}

func (v *Verdict) judgeStretch(k *key, limits Limits) {
	longest, during := k.longestStretch(limits.MaxPause)
	if longest.Length > v.Counts.Longest.Length {
		v.Counts.Longest = longest
	}
	if longest.Length > limits.MaxUnusable {
		detail := fmt.Sprintf("for %v from %v on", longest.Length, longest.From)
		v.violated(k.finding(UnusableKey, detail, during...))
	}
}

// stretch is a Stretch while its requests are gathered.
type stretch struct {
	from, to time.Duration
	// answered is when the first final answer after from came in.
	answered time.Duration
	during   []asked
}

// longestStretch gathers requests, in the order in which they were sent, that
// followed each other without a final answer in between. What clients do not
// ask for cannot be refused to them: after maxPause without any request a new
// stretch begins.
func (k *key) longestStretch(maxPause time.Duration) (Stretch, []asked) {
	var now, longest stretch
	for _, a := range k.requests {
		if a.effect == mismatched {
			continue // it is not for this request that the key is to be usable
		}
		answered := k.answeredAfter(a.Sent)
		if len(now.during) == 0 || a.Sent >= now.answered || a.Sent > now.to+maxPause {
			now = stretch{from: a.Sent, answered: answered}
		}
		now.to = max(now.to, min(a.Ended, answered))
		now.during = append(now.during, a)
		if now.to-now.from > longest.to-longest.from {
			longest = now
		}
	}
	return Stretch{Tenant: k.tenant, Key: k.name, From: longest.from, Length: longest.to - longest.from}, longest.during
}

// answeredAfter is when the next final answer came in after begin, which shows
// that the key was usable then, also for those who still waited.
func (k *key) answeredAfter(begin time.Duration) time.Duration {
	next := time.Duration(math.MaxInt64)
	for _, a := range k.requests {
		if a.lastWord() && a.Ended > begin {
			next = min(next, a.Ended)
		}
	}
	return next
}
