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
			for where, verdict := range map[string]wiretap.Verdict{"Before": wiretap.CutBefore, "Inside": wiretap.CutInside, "After": wiretap.CutAfter} {
				t.Run(fmt.Sprintf("%s/%s/%s", disposition, side, where), func(t *testing.T) {
					t.Parallel()
					p, proxy := newWorld(t, given{}).tapped(given{Config: txstore.Config{CommitTimeout: patience}})
					cut := p.beside(given{Config: txstore.Config{CommitTimeout: truthTimeout()}})
					c := &cutter{}
					proxy.Intercept(c.judge)
					committed := 0
					nth := 0
					for ; nth < maxCommitMessages; nth++ {
						ok, more := p.commitCut(cut, fmt.Sprintf("k-%d", nth), disposition, c, from, nth, verdict)
						if !more {
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

// commitCut commits one request of the process cut, on w's connections, and
// compares what its client is told with what the database holds.
func (w *world) commitCut(cut *world, key string, disposition idem.Disposition, c *cutter, from wiretap.Side, nth int, verdict wiretap.Verdict) (committed, more bool) {
	w.Helper()
	warm := w.attempt(key + "-warm").mustBeFresh()
	idem.SetDisposition(warm.ctx, disposition)
	warm.mustCommit("warm")
	a := cut.attempt(key).mustBeFresh()
	a.pay()
	idem.SetDisposition(a.ctx, disposition)
	c.arm(from, nth, verdict)
	err := a.commit("paid")
	hit := c.wasHit()
	unknown := unlocked && errors.Is(err, idem.ErrOutcomeUnknown)
	if unknown {
		// It may have been told so before the server had read what was sent.
		eventually(w.TB, "no transaction is open", func() bool {
			return w.count(`SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND xact_start IS NOT NULL AND pid <> pg_backend_pid()`) == 0
		})
	}
	payments, records := w.payments(key), w.records(key)
	if want := records; payments != want && disposition == idem.CommitAll || payments > 0 && disposition == idem.CommitResponse {
		w.Fatalf("message %d: %d payments and %d records", nth, payments, records)
	}
	var refused *idem.CommitError
	switch {
	case err == nil && records != 1:
		w.Errorf("message %d: told success, %d records", nth, records)
	case unknown:
		// Without its own lock it cannot tell a COMMIT that never arrived from
		// one that is still on its way. What it does know is true.
	case err != nil && !hit:
		w.Errorf("message %d: told %v, and nothing was cut", nth, err)
	case err != nil && records != 0:
		w.Errorf("message %d: told %v, but it was committed", nth, err)
	case err != nil && !(errors.As(err, &refused) && refused.Retryable):
		w.Errorf("message %d: told %v, want a refusal that is worth a retry", nth, err)
	}
	if records == 1 {
		w.attempt(key).mustReplay("paid")
		return true, hit || unknown
	}
	again := w.attempt(key).mustBeFresh()
	again.pay()
	again.mustCommit("again")
	w.mustHold(key, 1, 1)
	return false, hit || unknown
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
