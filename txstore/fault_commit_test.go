package txstore_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/internal/wiretap"
	"github.com/pgidem/pgidem/txstore"
)

// cutter cuts the connection at the nth message that one side sends, counted
// from its arming on, and once only.
type cutter struct {
	mu      sync.Mutex
	armed   bool
	from    wiretap.Side
	left    int
	verdict wiretap.Verdict
	hit     bool
}

func (c *cutter) arm(from wiretap.Side, nth int, verdict wiretap.Verdict) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.armed, c.hit, c.from, c.left, c.verdict = true, false, from, nth, verdict
}

// wasHit tells whether the message came, and disarms.
func (c *cutter) wasHit() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.armed = false
	return c.hit
}

func (c *cutter) judge(m wiretap.Message) wiretap.Verdict {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.armed || c.hit || m.From != c.from {
		return wiretap.Pass
	}
	if c.left > 0 {
		c.left--
		return wiretap.Pass
	}
	c.hit = true
	return c.verdict
}

// maxCommitMessages bounds the messages of a commit batch or its answer.
const maxCommitMessages = 40

// Behaviour 15. The connection is cut at every message of the commit batch and
// of its answer, before, inside and after it. The client is told the truth.
func TestTruthWhenTheConnectionIsCutDuringCommit(t *testing.T) {
	t.Parallel()
	for _, disposition := range []idem.Disposition{idem.CommitAll, idem.CommitResponse} {
		for side, from := range map[string]wiretap.Side{"Request": wiretap.Client, "Answer": wiretap.Server} {
			for cut, verdict := range map[string]wiretap.Verdict{"Before": wiretap.CutBefore, "Inside": wiretap.CutInside, "After": wiretap.CutAfter} {
				t.Run(fmt.Sprintf("%s/%s/%s", disposition, side, cut), func(t *testing.T) {
					t.Parallel()
					p, proxy := newWorld(t, given{}).tapped(given{Config: txstore.Config{CommitTimeout: truthTimeout()}})
					c := &cutter{}
					proxy.Intercept(c.judge)
					committed := 0
					nth := 0
					for ; nth < maxCommitMessages; nth++ {
						ok, hit := p.commitCut(fmt.Sprintf("k-%d", nth), disposition, c, from, nth, verdict)
						if !hit {
							break
						}
						if ok {
							committed++
						}
					}
					if nth < 5 || nth == maxCommitMessages {
						t.Errorf("%d messages were cut", nth)
					}
					t.Logf("%d messages, %d of them committed", nth, committed)
					if from == wiretap.Server && committed == 0 {
						t.Error("the answer was cut, and nothing had been committed: the cut is at the wrong place")
					}
				})
			}
		}
	}
}

// truthTimeout is long enough to learn the truth, where that can be learned.
func truthTimeout() time.Duration {
	if unlocked {
		return 200 * time.Millisecond
	}
	return patience
}

// commitCut commits one request under a cut, and compares what the client is
// told with what the database holds.
func (w *world) commitCut(key string, disposition idem.Disposition, c *cutter, from wiretap.Side, nth int, verdict wiretap.Verdict) (committed, hit bool) {
	w.Helper()
	warm := w.attempt(key + "-warm").mustBeFresh()
	idem.SetDisposition(warm.ctx, disposition)
	warm.mustCommit("warm")
	a := w.attempt(key).mustBeFresh()
	a.pay()
	idem.SetDisposition(a.ctx, disposition)
	c.arm(from, nth, verdict)
	err := a.commit("paid")
	hit = c.wasHit()
	payments, records := w.payments(key), w.records(key)
	if want := records; payments != want && disposition == idem.CommitAll || payments > 0 && disposition == idem.CommitResponse {
		w.Fatalf("message %d: %d payments and %d records", nth, payments, records)
	}
	var refused *idem.CommitError
	switch {
	case err == nil && records != 1:
		w.Errorf("message %d: told success, %d records", nth, records)
	case unlocked && errors.Is(err, idem.ErrOutcomeUnknown):
		// Without its own lock it cannot tell a COMMIT that never arrived from
		// one that is still on its way. What it does know is true.
	case err != nil && records != 0:
		w.Errorf("message %d: told %v, but it was committed", nth, err)
	case err != nil && !(errors.As(err, &refused) && refused.Retryable):
		w.Errorf("message %d: told %v, want a refusal that is worth a retry", nth, err)
	}
	if records == 1 {
		w.attempt(key).mustReplay("paid")
		return true, hit
	}
	again := w.attempt(key).mustBeFresh()
	again.pay()
	again.mustCommit("again")
	w.mustHold(key, 1, 1)
	return false, hit
}

// Behaviour 15. The server cannot be reached after the reply to COMMIT was lost:
// whether it happened is not known, and nothing else is claimed.
func TestUnknownWhenNobodyCanBeAsked(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	p, proxy := w.tapped(given{Config: txstore.Config{CommitTimeout: time.Second, AcquireTimeout: 200 * time.Millisecond}})
	p.attempt("warm").mustBeFresh().mustCommit("warm") // nothing is prepared from now on
	a := p.attempt("k").mustBeFresh()
	a.pay()
	follower := p.attempt("k").start()
	p.mustFollow("k", 1)
	proxy.Refuse(true)
	c := &cutter{}
	proxy.Intercept(c.judge)
	c.arm(wiretap.Server, 0, wiretap.CutBefore)
	begun := time.Now()
	err := a.commit("paid")
	if !errors.Is(err, idem.ErrOutcomeUnknown) {
		t.Errorf("told %v, want ErrOutcomeUnknown", err)
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("told after %v", took)
	}
	proxy.Refuse(false)
	got := await(t, "the follower", follower)
	if got.err != nil && !errors.Is(got.err, idem.ErrStoreUnavailable) || got.fresh {
		t.Errorf("the follower got %s", got.body())
	}
	p.attempt("k").mustReplay("paid")
	w.mustHold("k", 1, 1)
}
