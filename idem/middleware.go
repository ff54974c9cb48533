package idem

import (
	"net/http"
	"slices"
	"time"
)

// RESTMiddleware returns a middleware that records the response of the handler
// behind it under the request's idempotency key, and sends a retry that response
// instead of running the handler. It panics if cfg is invalid, and names the
// field.
//
// Mount it inside authentication, so that Config.Scope can name the caller, and
// outside whatever reads the body. What stands between it and the handler runs,
// and is replayed, with the handler.
//
// Something further out may put the body back into the request when it has read
// it, or leave a parsed form there: fields and files are hashed then in place of
// the body. A body of a declared length that is gone otherwise, or in part, is
// refused with 500, unless Config.RequestHash is set, since it could have been any.
// One that was sent without a length is taken for what is left of it. Who replaces a
// body by a shorter one sets ContentLength.
//
// The handler's response is held back until the Store has committed it. The
// handler runs in a goroutine of its own with a context that outlives its
// client (see Config.CancelOnDisconnect) but not Config.MaxHandlerTime; that
// context carries the [Attempt]. It may run again for one request, with a fresh
// copy of the request (see Config.MaxRuns).
//
// A panic of the handler is passed on with the same value. The request that the
// handler gets is a copy whose body was read in advance.
//
// Time is one clock for all requests: in a bubble of testing/synctest use a
// middleware that was made there.
func RESTMiddleware(cfg Config) func(http.Handler) http.Handler {
	cfg, err := cfg.withDefaults()
	if err != nil {
		panic(err)
	}
	cfg.HeaderName = http.CanonicalHeaderKey(cfg.HeaderName)
	cfg.ReplayHeaderName = http.CanonicalHeaderKey(cfg.ReplayHeaderName)
	admission, deadlines := newAdmission(cfg), newDeadlines(cfg.MaxHandlerTime)
	return func(next http.Handler) http.Handler {
		return &middleware{config: cfg, next: next, admission: admission, deadlines: deadlines}
	}
}

type middleware struct {
	config Config
	next   http.Handler
	// Both are shared by all handlers behind one RESTMiddleware.
	admission *admission
	deadlines *deadlines
}

func (m *middleware) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	begun := m.begin(r)
	key, present, err := keyFromHeader(r.Header, m.config.HeaderName)
	if !m.protects(r.Method) || !present && !m.config.Required {
		m.next.ServeHTTP(w, r)
		return
	}
	x := &exchange{middleware: m, w: w, r: r, begun: begun}
	defer func() { x.execution.ticket.drop() }()
	switch {
	case !present:
		err = ErrKeyMissing
	case err == nil:
		err = x.identify(key)
	}
	if err != nil {
		x.answer(executed{}, err)
		return
	}
	done, err := x.execute()
	x.answer(done, err)
}

// begin returns the time now, zero if nothing will ask when the request came.
func (m *middleware) begin(r *http.Request) (begun time.Time) {
	if m.config.Observer != nil || writeTimeout(r) > 0 {
		begun = time.Now()
	}
	return begun
}

func (m *middleware) protects(method string) bool {
	if m.config.Methods != nil {
		return slices.Contains(m.config.Methods, method)
	}
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return false
	}
	return true
}
