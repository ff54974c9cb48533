package idem

import (
	"context"
	"net/http"
	"time"
)

// Limits that do not depend on a Config.
const (
	// MaxKeyBytes is the longest idempotency key a client may send.
	MaxKeyBytes = 255
	// MaxStoredKeyBytes is the longest key a Store takes: a scope, one
	// separator and the client's key.
	MaxStoredKeyBytes = 1024
)

// Config says how RESTMiddleware protects a handler. Only Store is required.
// It is copied when the middleware is made; changing it later has no effect.
// Its functions are called concurrently.
type Config struct {
	// Store keeps the records. Required.
	Store Store
	// DefaultTTL is how long a record is replayed, from its Commit on. At least
	// a microsecond. Defaults to 24 hours.
	DefaultTTL time.Duration
	// RememberExpired is how long after DefaultTTL a key is still known: a
	// retry that comes so late is told 409 and is not run a second time. The store
	// keeps the key and the request hash as long; when it lets go of the response
	// is its own matter. What is committed while this is set is remembered;
	// changing it changes nothing for older records. At least a microsecond.
	// Defaults to 0: an expired key is fresh again.
	RememberExpired time.Duration
	// HeaderName is the request header that carries the key. It must be one that
	// net/http leaves in Request.Header.
	// Defaults to "Idempotency-Key".
	HeaderName string
	// RequestHash identifies a request, so that a key which comes with another
	// one is refused. It may read the whole body; the handler gets it again.
	// Bodies that differ with each retry of the same request, such as
	// multipart/form-data with its random boundary, need one of their own.
	// It gets no body where something further out has read it and not put it
	// back. Defaults to a SHA-256 over method, original path, query and body.
	RequestHash func(*http.Request) (string, error)
	// WaitTimeout bounds the wait for an attempt in flight; then the client is
	// told 409. It is cut short so that the answer leaves one second before the
	// server's WriteTimeout or the request's deadline. It bounds reaching the
	// Store, too: leave time for that. Negative: do not wait, tell the client 409
	// at once. Defaults to 30 seconds.
	WaitTimeout time.Duration
	// Scope names the namespace of the request's key: the tenant or account
	// that was authenticated. Requests of different scopes never share a key.
	// An error, an empty scope or one with control characters is answered 403.
	// Defaults to nil: one namespace for all callers.
	Scope func(*http.Request) (string, error)
	// Required refuses a protected request without a key with 400.
	// Defaults to false: such a request is served as if there were no
	// middleware.
	Required bool
	// Methods are the protected methods, in upper case as they are sent: methods
	// are case-sensitive, so that "post" would protect nothing and is refused.
	// Defaults to nil: all but GET, HEAD, OPTIONS and TRACE.
	Methods []string
	// MaxHandlerTime bounds one run of the handler. Then its context is cancelled
	// with [ErrHandlerTimeout] as its cause, and a quarter of a second later a
	// handler that has not returned is abandoned. In a transaction its writes are
	// undone and the client is told 503. Without one, what it returns in that
	// quarter is delivered and kept as usual; for one that was abandoned the
	// client is told 503, and its response is recorded when it returns, unless
	// its lease has ended and another attempt has taken the key by then.
	// Negative: no limit. Defaults to 30 seconds.
	MaxHandlerTime time.Duration
	// MaxRequestBytes bounds the request body; a larger one is answered 413.
	// Negative: no limit. Defaults to 1 MiB.
	MaxRequestBytes int64
	// MaxResponseBytes bounds the response body that is kept. For a larger one
	// a transaction is undone and the client is told 500; without a transaction
	// it is delivered, and a retry is told 409. A response is in memory until its
	// handler has returned, whatever its length. Negative: no limit.
	// Defaults to 1 MiB.
	MaxResponseBytes int64
	// MaxInFlightPerScope bounds how many protected requests of one scope the
	// middleware has in hand at once: being read, waiting, running or being
	// answered. A handler that was abandoned counts until it returns. A request
	// beyond it is told 429 before its body is read and before the Store is
	// asked, even one that would have been a replay: only the Store could tell,
	// and a flood must not reach it. Choose it well above MaxWaitingPerScope, so
	// that waiting duplicates leave room for replays and new requests.
	//
	// Like MaxWaitingPerScope it counts in this process, over all handlers
	// behind one RESTMiddleware; without Scope all requests are of one scope.
	// Defaults to 0: no limit.
	MaxInFlightPerScope int
	// MaxWaitingPerScope bounds how many of them may be blocked in the Store's
	// Reserve at once, which is where a duplicate waits for an attempt in
	// flight. Beyond it a duplicate that would have to wait is told 429 at once;
	// replays and new requests are served as ever. Defaults to 0: no limit.
	MaxWaitingPerScope int
	// Policy decides by status and header what becomes of a handler's writes
	// and response. [SetDisposition] overrides it for one request. Where it
	// returns none of the three Dispositions, the default decides. header is a
	// copy: changing it changes neither the response nor its record.
	// Defaults to [DefaultPolicy], except that without a transaction every 4xx
	// is kept.
	Policy func(status int, header http.Header) Disposition
	// ErrorHandler answers a request that the middleware refuses, before it returns;
	// where it writes nothing, [WriteProblem] answers. [ProblemFor] tells what err
	// means to a client. Defaults to WriteProblem.
	ErrorHandler func(w http.ResponseWriter, r *http.Request, err error)

	// ReplayHeaderName is the response header that marks a replay; its value is
	// "true". It must have no other meaning in a response. Defaults to "Idempotent-Replayed".
	ReplayHeaderName string
	// FailOpen runs the handler without protection when the store is
	// unavailable, unless a record is known to exist. Never choose it for payments.
	// Defaults to false.
	FailOpen bool
	// CancelOnDisconnect cancels the handler when its client goes away.
	// Defaults to false: once begun, a handler ends and its response is kept
	// for the retry.
	CancelOnDisconnect bool
	// MaxRuns bounds how often one request's handler runs when its transaction
	// was the victim of a serialization failure or a deadlock. 1: never again.
	// Defaults to 3.
	MaxRuns int
	// Observer is told how each protected request ended, once for each and once
	// more for an end in the background. It is called when the answer has been
	// written, but a client may get that only when it has returned: it must not
	// block. A panic in it is contained, and logged to slog's default logger.
	// Defaults to nil: nobody is told.
	Observer func(context.Context, Event)
	// ObserveKeys gives the Observer the keys in clear.
	// Defaults to false: only a digest.
	ObserveKeys bool
}

const (
	defaultTTL              = 24 * time.Hour
	defaultHeaderName       = "Idempotency-Key"
	defaultReplayHeaderName = "Idempotent-Replayed"
	defaultWaitTimeout      = 30 * time.Second
	defaultMaxHandlerTime   = 30 * time.Second
	defaultMaxBytes         = 1 << 20
	defaultMaxRuns          = 3
)

// withDefaults returns c with its zero fields filled, or an error that names
// the field that is wrong.
func (c Config) withDefaults() (Config, error) {
	if err := c.validate(); err != nil {
		return c, err
	}
	setDefault(&c.DefaultTTL, defaultTTL)
	setDefault(&c.HeaderName, defaultHeaderName)
	setDefault(&c.ReplayHeaderName, defaultReplayHeaderName)
	setDefault(&c.WaitTimeout, defaultWaitTimeout)
	setDefault(&c.MaxHandlerTime, defaultMaxHandlerTime)
	setDefault(&c.MaxRequestBytes, defaultMaxBytes)
	setDefault(&c.MaxResponseBytes, defaultMaxBytes)
	setDefault(&c.MaxRuns, defaultMaxRuns)
	if c.ErrorHandler == nil {
		c.ErrorHandler = WriteProblem
	}
	c.Methods = append([]string(nil), c.Methods...)
	return c, nil
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
