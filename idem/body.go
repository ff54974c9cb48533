package idem

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
)

// maxPreallocated is how much memory a declared Content-Length alone gets
// before any byte of the body has come.
const maxPreallocated = 1 << 20

// bufferBody reads the body of r to its end. limit bounds it, unless negative; a
// declared length over the limit is refused before a byte is read, so that a
// client which waits for "100 Continue" need not send it.
//
// A body that is small enough for room is returned there.
func bufferBody(r *http.Request, limit int64, room []byte) ([]byte, error) {
	if limit < 0 {
		limit = math.MaxInt64
	}
	if r.ContentLength > limit {
		return nil, tooLarge(limit)
	}
	if r.Body == nil || r.Body == http.NoBody {
		return nil, nil
	}
	b, err := readBody(r.Body, r.ContentLength, limit, room)
	if err != nil {
		return nil, bodyError(err)
	}
	return b, nil
}

func bodyError(err error) error {
	var over *http.MaxBytesError
	switch {
	case errors.Is(err, ErrRequestTooLarge):
		return err
	case errors.As(err, &over): // of a reader further out
		return tooLarge(over.Limit)
	case errors.Is(err, http.ErrBodyReadAfterClose):
		return fmt.Errorf("%w: %w", errBodyRead, err)
	}
	return fmt.Errorf("%w: %w", ErrRequestUnreadable, err)
}

func tooLarge(limit int64) error {
	return refuse(ErrRequestTooLarge, "The limit is %d bytes.", limit)
}

// readBody reads to the end, or one byte over the limit, which holds whatever
// was declared: a reader further out may have decompressed the body.
//
// The one byte beyond the declared length is room in which the last Read finds
// the end without growing the buffer.
func readBody(body io.Reader, declared, limit int64, room []byte) ([]byte, error) {
	b := room[:0]
	if declared >= int64(cap(b)) {
		b = make([]byte, 0, min(declared, maxPreallocated)+1)
	}
	for {
		if len(b) == cap(b) {
			b = slices.Grow(b, max(len(b), 512)) // doubled: a long body is copied once in all
		}
		n, err := body.Read(b[len(b) : min(int64(cap(b))-1, limit)+1])
		b = b[:len(b)+n]
		switch {
		case int64(len(b)) > limit:
			return nil, tooLarge(limit)
		case errors.Is(err, io.EOF):
			return b, nil
		case err != nil:
			return nil, err
		}
	}
}

// setBody gives r the buffered body, from its first byte, through reader.
func setBody(r *http.Request, body []byte, reader *bufferedBody) {
	r.ContentLength = int64(len(body))
	r.TransferEncoding = nil
	r.Body = newBody(body, reader)
	r.GetBody = func() (io.ReadCloser, error) { return newBody(body, new(bufferedBody)), nil }
}

type bufferedBody struct{ bytes.Reader }

func (*bufferedBody) Close() error { return nil }

func newBody(body []byte, reader *bufferedBody) io.ReadCloser {
	if len(body) == 0 {
		return http.NoBody
	}
	reader.Reset(body)
	return reader
}
