package txstore_test

import (
	"bytes"
	"sync"
	"testing"

	"github.com/pgidem/pgidem/internal/wiretap"
	"github.com/pgidem/pgidem/txstore"
)

// A record that only the server which is gone has shown is not replayed: where the
// standby confirms, it must be seen, too.
//
// Behaviours 14, 30.
func TestRecordThatThePromotedServerDoesNotHaveIsNotReplayed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	p, proxy := w.tapped(given{})
	p.warm()
	txstore.AwaitsStandby(p.store)
	w.attempt("k").mustBeFresh().mustCommit("lost")
	var once sync.Once
	proxy.Intercept(func(m wiretap.Message) (v wiretap.Verdict) {
		if m.From == wiretap.Client && bytes.Contains(m.Body, []byte("pg_logical_emit_message")) {
			once.Do(func() { w.exec(`DELETE FROM pgidem_records WHERE key = 'k'`) }) // as on the standby
		}
		return v
	})
	p.attempt("k").mustBeFresh().mustCommit("paid")
	p.attempt("k").mustReplay("paid")
}
