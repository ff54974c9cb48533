package txstore_test

import (
	"bytes"
	"sync"
	"testing"
	"time"

	"github.com/pgidem/pgidem/internal/wiretap"
	"github.com/pgidem/pgidem/txstore"
)

// undoneAlone lets the ROLLBACK of a response's batch through, and what follows
// it not before somebody has looked at the key in between and let it go.
type undoneAlone struct {
	mu         sync.Mutex
	conn       int // of the batch; -1: not yet known
	executions int
	looks      bool
	looking    int // the connection that lets the key go while looks is true

	looked    chan struct{} // closed when it has
	committed chan struct{} // closed when the batch has been
	once      sync.Once     // closes it
}

func (u *undoneAlone) judge(m wiretap.Message) wiretap.Verdict {
	held, verdict := u.note(m)
	if held != nil {
		<-held
	}
	return verdict
}

// note returns what the message has to wait for, nil for nothing.
func (u *undoneAlone) note(m wiretap.Message) (held <-chan struct{}, verdict wiretap.Verdict) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.conn < 0 {
		u.conn = m.Conn
	}
	batch, client := m.Conn == u.conn, m.From == wiretap.Client
	switch {
	case batch && client && u.executions == 2:
		return u.looked, wiretap.Pass
	case batch && client && m.Type == 'E':
		if u.executions++; u.executions == 2 { // the guard was the first
			return nil, wiretap.PassNow
		}
	case batch && !client && m.Type == 'C' && bytes.HasPrefix(m.Body, []byte("COMMIT\x00")):
		u.once.Do(func() { close(u.committed) })
	case !batch && client && m.Type == 'Q' && !u.looks && u.executions == 2:
		u.looks, u.looking = true, m.Conn
	case u.looks && m.Conn == u.looking && m.Type == 'Z':
		u.looking = -1
		close(u.looked)
		return u.committed, wiretap.Pass
	}
	return nil, wiretap.Pass
}

// Behaviour 15. The reply is missing, and a look comes between the ROLLBACK
// of a response's batch and its relock: the key is free, and nothing is lost.
func TestResponseBetweenRollbackAndRelockIsNotTakenForLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	p, proxy := w.tapped(given{Config: txstore.Config{CommitTimeout: 2 * time.Second}})
	warm := p.attempt("warm").mustBeFresh()
	respondOnly(warm)
	warm.mustCommit("warm") // nothing is prepared from now on
	a := p.attempt("k").mustBeFresh()
	a.pay()
	respondOnly(a)
	u := &undoneAlone{conn: -1, looked: make(chan struct{}), committed: make(chan struct{})}
	proxy.Intercept(u.judge)
	if err := a.commit("refused"); err != nil {
		t.Errorf("told %v, but it was committed", err)
	}
	w.mustHold("k", 0, 1)
	p.attempt("k").mustReplay("refused")
	await(t, "the look in between", u.looked)
}
