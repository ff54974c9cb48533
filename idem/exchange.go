package idem

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"sync"
	"time"
)

// exchange is one protected request and its answer.
type exchange struct {
	*middleware
	w     http.ResponseWriter
	r     *http.Request
	begun time.Time // see begin

	body []byte

	// execution is what the request comes to, as far as it is known.
	execution execution
	// first is the handler's first run, and mostly its only one.
	first handling

	// Of the run that was prepared last; its goroutine begins afterwards.
	rec     *recorder
	request *http.Request // the handler's

	// mu guards ended, and w and r while a handler runs: a handler that was
	// abandoned before it got a processor must not begin any more.
	mu    sync.Mutex
	ended bool

	room [96]byte // for a small body
}

// identify finds out what the request is: its stored key, its body, its hash. A
// request that its scope has no place for is refused before its body is read,
// and one inside its own attempt before that: it would find its place taken.
func (x *exchange) identify(clientKey string) error {
	key, scope, err := storedKey(x.r, clientKey, x.config.Scope)
	if err != nil {
		return err
	}
	e := &x.execution
	e.claim = claim{store: x.config.Store, key: key, admission: x.admission}
	if err = e.refuseNested(x.r.Context()); err != nil {
		return err
	}
	if e.ticket, err = x.admission.admit(scope); err != nil {
		return err
	}
	if x.body, err = bufferBody(x.r, x.config.MaxRequestBytes, x.room[:0]); err != nil {
		return err
	}
	e.hash, err = x.requestHash()
	return err
}

func (x *exchange) requestHash() (string, error) {
	if x.config.RequestHash == nil {
		form, err := parsedForm(x.r, x.body)
		if err != nil {
			return "", err
		}
		return hashRequest(x.r, form, x.body), nil
	}
	r := x.r.WithContext(x.r.Context())
	setBody(r, x.body, new(bufferedBody))
	defer removeUploads(r, r.MultipartForm)
	hash, err := x.config.RequestHash(r)
	if err != nil {
		return "", fmt.Errorf("%w: Config.RequestHash: %w", ErrRequestUnreadable, err)
	}
	return storableHash(hash), nil
}

// execute brings the request to its end.
func (x *exchange) execute() (executed, error) {
	now := time.Now() // the body may have taken its time
	until, noWait := waitUntil(x.r, x.begun, now, x.config.WaitTimeout)
	e := &x.execution // whole literals would need stack in each waiter
	e.ttl = x.config.DefaultTTL
	e.attempt = AttemptConfig{
		NoWait:          noWait,
		MaxHandlerTime:  max(x.config.MaxHandlerTime, 0),
		RememberExpired: x.config.RememberExpired,
	}
	e.deadlines, e.waitUntil = x.deadlines, until
	e.maxRuns, e.maxResponseBytes = x.config.MaxRuns, x.config.MaxResponseBytes
	e.cancelOnDisconnect = x.config.CancelOnDisconnect
	e.task = x
	return e.do(x.r.Context(), now)
}

func (x *exchange) policy(Cached, bool) Disposition { return x.rec.disposition }

// end takes the response out of the handler's hands; or only the client, if the
// handler goes on for the record alone.
func (x *exchange) end(goesOn bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.ended = true
	switch {
	case x.rec == nil:
	case goesOn:
		x.rec.detach()
	default:
		x.rec.end()
	}
}

// answer sends the one answer of the request and tells the observer.
func (x *exchange) answer(done executed, err error) {
	if err != nil { // without one, no handler is left
		x.end(done.goesOn)
	}
	if err == nil && done.outcome == OutcomeReplayed && !sendable(done.response.Status) {
		err = fmt.Errorf("%w: status %d", ErrRecordUnreadable, done.response.Status)
	}
	event := Event{Outcome: done.outcome, Runs: done.runs, Reserve: done.reserve, Err: err}
	if err == nil {
		event.Err = done.err
	}
	defer func() { x.observe(x.r.Context(), event) }()
	panicked := asPanic(err)
	switch {
	case panicked != nil:
		event.Outcome = OutcomePanicked
		panicked.resume()
	case x.failsOpen(done, err):
		event.Outcome = OutcomeUnprotected
		event.Status = x.serveUnprotected()
	case err != nil:
		event.Outcome = Outcome(kindOf(err).name)
		event.Status = x.refuse(err)
	case done.outcome == OutcomeReplayed:
		event.Status = done.response.Status
		x.first.recorder.replay(x.w, x.r.Method, done.response, x.config.ReplayHeaderName)
	default:
		event.Status = x.rec.status
		x.rec.deliver(x.w)
	}
}

// sendable tells whether net/http takes status for a final one. A record may
// come from a caller with codes of its own.
func sendable(status int) bool { return status == 101 || status >= 200 && status <= 999 }

// resume goes on with the handler's panic in the goroutine of the request.
func (p *handlerPanic) resume() {
	if p.value == nil {
		runtime.Goexit()
	}
	panic(p.value)
}

// failsOpen tells whether the handler may run without protection: nothing was
// run yet, and what failed is the way to the store, not the record in it, nor
// the Scope that may have a store of its own.
func (x *exchange) failsOpen(done executed, err error) bool {
	return x.config.FailOpen && done.runs == 0 && err != nil && kindOf(err) == storeUnavailable && !errors.Is(err, ErrRecordUnavailable)
}

// serveUnprotected runs the handler with the writer that it is used to, and
// with its client's context: nothing would remember its response.
func (x *exchange) serveUnprotected() (status int) {
	h := new(handling)
	rec := &h.recorder
	rec.begin(x.w, x.r.Method)
	defer rec.end()
	r := h.begin(x.r.Context(), x.r, x.body)
	defer removeUploads(r, r.MultipartForm)
	x.next.ServeHTTP(rec, r)
	rec.finish(func(int, http.Header) Disposition { return Discard })
	rec.deliver(x.w)
	return rec.status
}

// refuse lets the error handler answer and returns the status that it sent.
func (x *exchange) refuse(err error) (status int) {
	w := &statusWriter{ResponseWriter: x.w}
	x.config.ErrorHandler(w, x.r, err)
	if w.status == 0 && !w.hijacked {
		// Nothing was written; net/http would make a success of it.
		WriteProblem(w, x.r, err)
	}
	return w.status
}

// statusWriter remembers the status of what is written through it.
type statusWriter struct {
	http.ResponseWriter
	status   int
	hijacked bool
}

func (w *statusWriter) WriteHeader(status int) {
	if w.status == 0 && (status >= 200 || status == http.StatusSwitchingProtocols) {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Write(p []byte) (int, error) {
	w.begin()
	return w.ResponseWriter.Write(p)
}

// FlushError is found by http.ResponseController, and so is Hijack.
func (w *statusWriter) FlushError() error {
	err := http.NewResponseController(w.ResponseWriter).Flush()
	if !errors.Is(err, http.ErrNotSupported) {
		w.begin()
	}
	return err
}

func (w *statusWriter) begin() {
	if w.status == 0 {
		w.status = http.StatusOK
	}
}

// Hijack leaves the answer to the error handler, whatever that is.
func (w *statusWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := http.NewResponseController(w.ResponseWriter).Hijack()
	w.hijacked = w.hijacked || err == nil
	return conn, buffered, err
}

// Unwrap lets an error handler reach what the writer of the server can do.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// notKept is the record of a response that took effect but was too large.
func (x *exchange) notKept() Cached {
	return Cached{
		Status: responseNotKept.status,
		Header: http.Header{
			"Content-Type":           {problemContentType},
			"X-Content-Type-Options": {"nosniff"},
			"Cache-Control":          {"no-store"},
		},
		Body: responseNotKept.problem().encode(),
	}
}
