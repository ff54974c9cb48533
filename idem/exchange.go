package idem

import (
	"context"
	"errors"
	"fmt"
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
	begun time.Time

	key    string
	hash   string
	body   []byte
	ticket *ticket

	// mu guards all below, and w and r while a handler runs: a handler that was
	// abandoned before it got a processor must not begin any more.
	mu    sync.Mutex
	ended bool
	runs  int
	rec   *recorder
}

// identify finds out what the request is: its stored key, its body, its hash. A
// request that its scope has no place for is refused before its body is read.
func (x *exchange) identify(clientKey string) error {
	key, scope, err := storedKey(x.r, clientKey, x.config.Scope)
	if err != nil {
		return err
	}
	x.key = key
	if x.ticket, err = x.admission.admit(scope); err != nil {
		return err
	}
	if x.body, err = bufferBody(x.r, x.config.MaxRequestBytes); err != nil {
		return err
	}
	x.hash, err = x.requestHash()
	return err
}

func (x *exchange) requestHash() (string, error) {
	if x.config.RequestHash == nil {
		return hashRequest(x.r, x.body), nil
	}
	r := x.r.WithContext(x.r.Context())
	setBody(r, x.body)
	hash, err := x.config.RequestHash(r)
	if err != nil {
		return "", fmt.Errorf("%w: Config.RequestHash: %w", ErrRequestUnreadable, err)
	}
	return storableHash(hash), nil
}

func (x *exchange) execution() *execution {
	until, noWait := waitUntil(x.r, x.begun, x.config.WaitTimeout)
	return &execution{
		store: x.config.Store,
		key:   x.key,
		hash:  x.hash,
		ttl:   x.config.DefaultTTL,
		attempt: AttemptConfig{
			NoWait:          noWait,
			MaxHandlerTime:  max(x.config.MaxHandlerTime, 0),
			RememberExpired: x.config.RememberExpired,
		},
		ticket:             x.ticket,
		waitUntil:          until,
		maxRuns:            x.config.MaxRuns,
		maxResponseBytes:   x.config.MaxResponseBytes,
		cancelOnDisconnect: x.config.CancelOnDisconnect,
		run:                x.run,
		policy:             func(Cached, bool) Disposition { return x.rec.disposition },
		notKept:            notKept,
		late:               x.observeLate,
	}
}

// run calls the handler. The policy is asked here, in the goroutine of the
// handler, so that its panic gives the key up as the handler's would.
func (x *exchange) run(ctx context.Context) Cached {
	rec, r := x.beginRun(ctx)
	if rec == nil {
		return Cached{}
	}
	defer x.ticket.drop()
	defer removeUploads(r)
	x.next.ServeHTTP(rec, r)
	attempt, _ := AttemptFromContext(ctx)
	return rec.finish(func(status int, header http.Header) Disposition {
		return x.config.decide(status, header, attempt.Transactional())
	})
}

// beginRun returns an empty recorder and a fresh request, or nil if the request
// was given up before its handler began.
func (x *exchange) beginRun(ctx context.Context) (*recorder, *http.Request) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.ended {
		return nil, nil
	}
	x.runs++
	x.ticket.hold()
	x.rec = newRecorder(x.w, x.r.Method)
	return x.rec, x.request(ctx)
}

// request returns a copy of the request, with the whole body before it.
func (x *exchange) request(ctx context.Context) *http.Request {
	r := x.r.Clone(ctx)
	setBody(r, x.body)
	return r
}

// removeUploads does for a copy of a request what the server does for its own:
// it removes the files that parsing a multipart form has left on disk.
func removeUploads(r *http.Request) {
	if r.MultipartForm != nil {
		r.MultipartForm.RemoveAll() //nolint:errcheck // as the server does
	}
}

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
	x.end(done.goesOn)
	if err == nil && done.outcome == OutcomeReplayed && !sendable(done.response.Status) {
		err = fmt.Errorf("%w: status %d", ErrRecordUnreadable, done.response.Status)
	}
	event := Event{Outcome: done.outcome, Runs: done.runs, Reserve: done.reserve, Err: err}
	if err == nil {
		event.Err = done.err
	}
	defer func() { x.observe(x.r.Context(), event) }()
	var panicked *handlerPanic
	switch {
	case errors.As(err, &panicked):
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
		replay(x.w, x.r, done.response, x.config.ReplayHeaderName)
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
	return x.config.FailOpen && done.runs == 0 && err != nil && kindOf(err) == storeUnavailable
}

// serveUnprotected runs the handler with the writer that it is used to, and
// with its client's context: nothing would remember its response.
func (x *exchange) serveUnprotected() (status int) {
	rec := newRecorder(x.w, x.r.Method)
	defer rec.end()
	x.next.ServeHTTP(rec, x.request(x.r.Context()))
	rec.finish(func(int, http.Header) Disposition { return Discard })
	rec.deliver(x.w)
	return rec.status
}

// refuse lets the error handler answer and returns the status that it sent.
func (x *exchange) refuse(err error) (status int) {
	w := &statusWriter{ResponseWriter: x.w}
	x.config.ErrorHandler(w, x.r, err)
	if w.status == 0 {
		return http.StatusOK
	}
	return w.status
}

// statusWriter remembers the status of what is written through it.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	if w.status == 0 && (status >= 200 || status == http.StatusSwitchingProtocols) {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets an error handler reach what the writer of the server can do.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// notKept is the record of a response that took effect but was too large.
func notKept() Cached {
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
