package idem

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
)

// Errors of Do alone.
var (
	// ErrResultUnencodable: the function succeeded, but its result cannot be
	// encoded, or not be decoded again. In a transaction its writes were undone
	// and nothing was kept. Without one its effect is real, so that a retry is
	// told [ErrResultNotKept].
	ErrResultUnencodable = errors.New("idem: result cannot be encoded")
	// ErrResultNotKept: the function has taken effect for this key, but its
	// result was too large to be kept or could not be encoded. It is not run
	// again.
	ErrResultNotKept = errors.New("idem: result was not kept")
)

// The status of a record says what it holds. None of these is a status of HTTP,
// so that RESTMiddleware never sends such a record.
const (
	statusResult    = 1 // a result, encoded
	statusPermanent = 2 // a PermanentError, always as JSON
	statusNotKept   = 3 // nothing but the fact
)

// codecHeader names the codec of a result.
const codecHeader = "Codec"

// policy is what becomes of a run whose record is response.
func (*call) policy(response Cached, _ bool) Disposition {
	switch response.Status {
	case statusPermanent:
		return CommitResponse
	case statusResult, statusNotKept:
		return CommitAll
	}
	return Discard
}

// encode returns the record of a result, and the result as it is read again.
func (c *call) encode(result any) (record Cached, again any, err error) {
	if record, err = c.marshal(result); err == nil {
		again, err = c.decode(record)
	}
	if err != nil {
		return Cached{}, nil, fmt.Errorf("%w: %w", ErrResultUnencodable, err)
	}
	return record, again, nil
}

// marshal makes an error of a panic of the codec, or of the result's own methods:
// what was to be encoded has taken effect.
func (c *call) marshal(result any) (record Cached, err error) {
	defer panicOfCodec(&err)
	record = Cached{Status: statusResult, Header: http.Header{codecHeader: {c.config.Codec.Name()}}}
	record.Body, err = c.config.Codec.Marshal(result)
	return record, err
}

func panicOfCodec(err *error) {
	if v := recover(); v != nil {
		*err = fmt.Errorf("idem: the codec panicked: %v", v)
	}
}

func (c *call) decode(record Cached) (result any, err error) {
	defer panicOfCodec(&err)
	if name := record.Header.Get(codecHeader); name != c.config.Codec.Name() {
		return nil, fmt.Errorf("idem: the record's codec is %q and not %q", name, c.config.Codec.Name())
	}
	result = c.blank()
	return result, c.config.Codec.Unmarshal(record.Body, result)
}

// read returns what a record says: a result or an error.
func (c *call) read(record Cached) (result any, err error) {
	switch record.Status {
	case statusResult:
		result, err = c.decode(record)
	case statusPermanent:
		var permanent PermanentError
		if err = json.Unmarshal(record.Body, &permanent); err == nil {
			return nil, &permanent
		}
	case statusNotKept:
		return nil, ErrResultNotKept
	default:
		err = fmt.Errorf("idem: the record has the status %d, which is none of Do's", record.Status)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRecordUnreadable, err)
	}
	return result, nil
}
