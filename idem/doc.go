// Package idem makes requests that move value safe to retry. A client gives
// each operation an idempotency key; the handler's response is recorded under
// it, and while the record lives a retry gets that response and runs nothing.
//
// [RESTMiddleware] protects HTTP handlers, [Do] consumers of a queue, jobs and
// whatever else is a function. What they guarantee depends on the
// [Store] behind it: with the transactional store of package txstore the
// handler's database writes and the record are committed in one transaction;
// with a leased store at most one attempt at a time holds the lease of a key,
// and a crash between an effect and its record lets a retry run again.
//
// # Keys
//
// The key comes in the request header Idempotency-Key, either raw (abc) or as a
// String of RFC 8941 ("abc"); both are the same key. It has 1 to 255 bytes of
// printable ASCII. A raw key holds no comma, space or double quote, since a
// proxy may join two headers to one. With Config.Scope the same key of two
// scopes is two keys.
//
// # What makes two requests the same
//
// The request hash: method, path and query as the client sent them, and body. A
// key that comes with another hash is refused. A body that differs with each
// retry of the same operation needs a Config.RequestHash of its own;
// multipart/form-data with its random boundary is the usual case. What that
// function returns is kept as it is if it is 1 to 255 bytes of printable ASCII,
// and as its SHA-256 otherwise; its error is answered 400. The middleware stands
// outside whatever reads the body; see [RESTMiddleware] for what can be done where
// it does not.
//
// # What is recorded
//
// Status, body, and the headers that the handler added or changed. Never kept
// are headers that belong to one caller (Set-Cookie, WWW-Authenticate and its
// kin), to one connection (hop by hop, trailers), to one origin (CORS) or to
// one request (Date, trace context, X-Request-Id, X-Correlation-Id,
// Server-Timing). The first caller gets all of them. On a replay the recorded
// headers replace what outer middlewares have set under the same name.
//
// The response is held back until its Commit, so a handler cannot flush, hijack
// or stream; informational responses (1xx) pass at once.
//
// # Refusals
//
// A request that is refused is answered with a problem document of RFC 9457
// whose type is [ProblemTypeBase] and one of these names; the same name is the
// [Outcome] that an observer is told. The statuses that a retry can help with
// come with a Retry-After of one second: each 503, in-flight and
// too-many-requests.
//
//	key-missing          400  no key, and Config.Required
//	key-invalid          400  the key breaks the rules above
//	request-unreadable   400  the body broke off, or Config.RequestHash failed;
//	                          500 if something further out has read the body
//	scope-denied         403  Config.Scope failed or named no scope
//	in-flight            409  another attempt runs
//	key-expired          409  answered before, but the response is gone by now
//	response-not-kept    409  took effect, but its response was too large to keep
//	request-too-large    413  over Config.MaxRequestBytes
//	hash-mismatch        422  the key was used with another request
//	too-many-requests    429  over Config.MaxInFlightPerScope or MaxWaitingPerScope; nothing was run
//	nested               500  the middleware is mounted twice around the handler
//	response-too-large   500  over Config.MaxResponseBytes; undone
//	transaction-ended    500  the handler ended the store's transaction
//	transaction-failed   500  the handler left the transaction unusable; undone
//	record-unreadable    500  the record cannot be decoded; nothing was run
//	commit-failed        500  undone; 503 if a retry can help
//	internal             500  whether it took effect is not known
//	store-unavailable    503  nothing was run
//	handler-timeout      503  over Config.MaxHandlerTime
//	lease-lost           503  the reservation was lost meanwhile
//	request-cancelled    503  the client is gone; nobody reads this answer
//	outcome-unknown      503  may have taken effect; a retry does not run twice
package idem
