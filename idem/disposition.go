package idem

import "context"

// Disposition says what becomes of a handler's writes and of its response.
type Disposition int

const (
	// CommitAll keeps the writes and the response.
	CommitAll Disposition = iota + 1
	// CommitResponse undoes the writes and keeps the response, so that a retry
	// gets the same answer. A store without a transaction cannot undo writes;
	// there it means the same as CommitAll.
	CommitResponse
	// Discard undoes the writes and keeps nothing: the response is delivered
	// once, and a retry with the same key runs the handler again. A store
	// without a transaction cannot undo writes.
	Discard
)

// String returns the name of d.
func (d Disposition) String() string {
	switch d {
	case CommitAll:
		return "CommitAll"
	case CommitResponse:
		return "CommitResponse"
	case Discard:
		return "Discard"
	}
	return "Disposition(invalid)"
}

// SetDisposition overrides Config.Policy for the request whose handler runs in
// ctx; the last call counts. Outside a protected request, or with a d that is
// none of the three, it does nothing. It may be called from any goroutine of
// the handler.
func SetDisposition(ctx context.Context, d Disposition) {
	if a, ok := AttemptFromContext(ctx); ok && d >= CommitAll && d <= Discard {
		a.setDisposition(d)
	}
}
