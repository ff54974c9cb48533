package idem_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pgidem/pgidem/idem"
)

// The panic of a handler that was abandoned has no request to be passed on to.
// The observer is told it, and the key is given up.
//
// Behaviour 37.
func TestPanicOfAnAbandonedHandlerIsTold(t *testing.T) {
	t.Parallel()
	var l ledger
	var seen events
	leave := make(chan bool)
	cfg := idem.Config{MaxHandlerTime: 20 * time.Millisecond, Observer: seen.observe}
	srv := serve(t, cfg, func(http.ResponseWriter, *http.Request) {
		if l.runs.Add(1) == 1 {
			<-leave
			panic("too late")
		}
	})
	if a := send(t, srv, request{key: "k"}); a.status != 503 || a.problem(t) != "handler-timeout" {
		t.Errorf("answer %+v", a)
	}
	close(leave)
	e := seen.wait(t, 2)[1]
	if e.Outcome != idem.OutcomePanicked || e.Err == nil || !strings.Contains(e.Err.Error(), "too late") {
		t.Errorf("late event %+v", e)
	}
	if a := send(t, srv, request{key: "k"}); a.status != 200 || a.replayed() {
		t.Errorf("retry %+v", a)
	}
}
