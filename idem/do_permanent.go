package idem

import (
	"encoding/json"
	"errors"
)

// PermanentError is an error that [Do] keeps: no retry with the same key can
// end in another way. The first call and every replay return an equal one, so
// it holds only what a record can hold, and no cause. Return one from the
// function, or mark any error with [Permanent]; it may be wrapped.
type PermanentError struct {
	// Code tells errors apart for programs. Defaults to "": it is told by its
	// message alone.
	Code string `json:"code,omitempty"`
	// Message is the text of the error. It is stored.
	Message string `json:"message"`
}

// Error returns the message, or the code where there is none.
func (e *PermanentError) Error() string {
	if e.Message == "" {
		return e.Code
	}
	return e.Message
}

// Is tells whether target is a PermanentError of the same Code that is not
// empty. So errors.Is finds a variable that holds one with a Code, for a replay
// as for the first call.
func (e *PermanentError) Is(target error) bool {
	t, ok := target.(*PermanentError)
	return ok && e != nil && t != nil && t.Code != "" && t.Code == e.Code
}

// Permanent marks err as one that [Do] keeps: a [PermanentError] with its text,
// and with its Code if there is one in it already. Permanent(nil) is nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	permanent := &PermanentError{Message: err.Error()}
	var inner *PermanentError
	if errors.As(err, &inner) {
		permanent.Code = inner.Code
	}
	return permanent
}

// asPermanent returns the PermanentError that a function's error amounts to.
// Its text is that of the whole error, with all that wraps it.
func asPermanent(err error) (*PermanentError, bool) {
	var permanent *PermanentError
	if !errors.As(err, &permanent) || permanent == nil {
		return nil, false
	}
	return &PermanentError{Code: permanent.Code, Message: err.Error()}, true
}

func recordPermanent(permanent *PermanentError) Cached {
	body, _ := json.Marshal(permanent) // two strings: it cannot fail
	return Cached{Status: statusPermanent, Body: body}
}
