package idem

import (
	"bufio"
	"fmt"
	"maps"
	"net"
	"net/http"
	"sync"
	"time"
)

var (
	// errBuffered refuses what would let bytes out before Commit.
	errBuffered = fmt.Errorf("idem: the response is held back until its commit: %w", http.ErrNotSupported)
	// errEnded is what a handler hears that writes after its time, or after it
	// has returned.
	errEnded = fmt.Errorf("idem: the response has ended: %w", http.ErrHandlerTimeout)
)

// minBuffer is the memory that the first bytes of a response get; it is part of
// the recorder.
const minBuffer = 144

// recorder is the [http.ResponseWriter] of one run of a handler. It keeps the
// response until the Store has committed it.
//
// It has no Unwrap and no Flush: either would let bytes out before Commit. A
// FlushError that refuses is how [http.ResponseController] learns of it.
type recorder struct {
	outer  http.ResponseWriter
	method string
	// header is the map that the handler has in its hands. Like that of any
	// ResponseWriter it belongs to the handler's goroutine.
	header http.Header

	// mu guards all below, and outer while the handler runs: a handler that was
	// abandoned may go on writing while its request is answered.
	mu          sync.Mutex
	ended       bool
	detached    bool        // the request was answered; outer is not ours any more
	base        http.Header // what outer middlewares have set
	status      int
	frozen      frozenHeader // header at the moment of WriteHeader
	sent        http.Header  // the same, after finish
	storable    bool         // a record keeps all of sent
	trailers    http.Header
	body        []byte
	length      [1]string // room for the Content-Length of sent
	marker      [1]string // room for what marks a replay
	disposition Disposition
	room        [minBuffer]byte // for the first bytes of body
}

func (rec *recorder) begin(outer http.ResponseWriter, method string) {
	rec.outer, rec.method, rec.base = outer, method, outer.Header()
	if len(rec.base) > 0 {
		rec.header = rec.base.Clone()
	} else {
		rec.header = make(http.Header)
	}
}

// Header returns the header map of the response, which begins as a copy of what
// outer middlewares have set.
func (rec *recorder) Header() http.Header { return rec.header }

// WriteHeader keeps the status and the header as they are now. Informational
// responses are not part of the answer and go to the client at once.
func (rec *recorder) WriteHeader(status int) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if !rec.ended && rec.status == 0 {
		rec.writeHeader(status)
	}
}

func (rec *recorder) writeHeader(status int) {
	switch {
	case status < 100 || status > 999:
		// As in net/http: such an answer cannot be sent.
		panic(fmt.Sprintf("idem: invalid WriteHeader code %v", status))
	case status < 200 && status != http.StatusSwitchingProtocols:
		rec.inform(status)
	default:
		rec.status = status
		rec.frozen.freeze(rec.header)
	}
}

// inform sends an informational response with the header as it is now, and
// leaves the outer header map as it was.
func (rec *recorder) inform(status int) {
	if rec.detached {
		return
	}
	outer := rec.outer.Header()
	before := maps.Clone(outer)
	replaceHeader(outer, rec.header.Clone())
	rec.outer.WriteHeader(status)
	replaceHeader(outer, before)
}

func replaceHeader(dst, src http.Header) {
	clear(dst)
	maps.Copy(dst, src)
}

// Write keeps a copy of p.
func (rec *recorder) Write(p []byte) (int, error) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if err := rec.beginWrite(len(p)); err != nil {
		return 0, err
	}
	rec.body = append(rec.buffer(len(p)), p...)
	return len(p), nil
}

// WriteString keeps a copy of s.
func (rec *recorder) WriteString(s string) (int, error) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if err := rec.beginWrite(len(s)); err != nil {
		return 0, err
	}
	rec.body = append(rec.buffer(len(s)), s...)
	return len(s), nil
}

// buffer returns the body so far, to which length bytes are appended. Most
// responses are written at once; the others do not begin with a few bytes.
func (rec *recorder) buffer(length int) []byte {
	switch {
	case rec.body != nil || length == 0:
		return rec.body
	case length <= minBuffer:
		return rec.room[:0]
	}
	return make([]byte, 0, length)
}

func (rec *recorder) beginWrite(length int) error {
	if rec.ended {
		return errEnded
	}
	if rec.status == 0 {
		rec.writeHeader(http.StatusOK)
	}
	if length > 0 && !bodyAllowed(rec.status) {
		return http.ErrBodyNotAllowed
	}
	return nil
}

// FlushError refuses: nothing reaches the client before Commit.
func (rec *recorder) FlushError() error { return errBuffered }

// Hijack refuses: a connection that is taken over cannot be replayed.
func (rec *recorder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return nil, nil, errBuffered
}

// SetReadDeadline is about a body that was read before the handler began. Forwarded,
// it would end what the server reads next to notice that the client has gone, and
// be taken for that.
func (rec *recorder) SetReadDeadline(time.Time) error {
	return rec.control(func(*http.ResponseController) error { return nil })
}

// SetWriteDeadline forwards to the connection.
func (rec *recorder) SetWriteDeadline(deadline time.Time) error {
	return rec.control(func(c *http.ResponseController) error { return c.SetWriteDeadline(deadline) })
}

// EnableFullDuplex forwards to the connection.
func (rec *recorder) EnableFullDuplex() error {
	return rec.control((*http.ResponseController).EnableFullDuplex)
}

// control reaches the connection, as long as it is still this request's.
func (rec *recorder) control(do func(*http.ResponseController) error) error {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if rec.ended || rec.detached {
		return errEnded
	}
	return do(http.NewResponseController(rec.outer))
}

// finish completes the response of a handler that has returned, and returns
// what a record keeps of it. decide is asked for the disposition. It must not
// be called twice.
func (rec *recorder) finish(decide func(status int, header http.Header) Disposition) Cached {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if rec.ended {
		return Cached{}
	}
	if rec.status == 0 {
		rec.writeHeader(http.StatusOK)
	}
	rec.ended = true
	rec.settleHeader()
	sniffContentType(rec.sent, rec.status, rec.body)
	rec.disposition = decide(rec.status, rec.sent)
	return Cached{Status: rec.status, Header: rec.storedHeader(), Body: rec.body}
}

// settleHeader finds out what header is delivered. It is never the handler's own
// map, even where that is still as it was at WriteHeader: what the handler has
// left to a goroutine may write to it, for as long as the Commit takes.
func (rec *recorder) settleHeader() {
	rec.sent, rec.storable = rec.frozen.header(), rec.frozen.whollyStorable()
	if rec.storable && rec.frozen.hasNamesOf(rec.header) {
		return // no trailer is storable, nor what announces one
	}
	rec.trailers = trailersOf(rec.sent, rec.header)
}

// storedHeader is the header of the record. Where that is all of it, what is
// delivered serves: a Store keeps a copy.
func (rec *recorder) storedHeader() http.Header {
	if len(rec.base) == 0 && rec.storable {
		return rec.sent
	}
	return storedHeader(rec.base, rec.sent)
}

// end makes everything that the handler still does to the response fail.
func (rec *recorder) end() {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	rec.ended = true
}

// detach parts the recorder from the request, which is answered without it. The
// handler goes on, and its response is kept.
func (rec *recorder) detach() {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	rec.detached = true
	rec.base = rec.base.Clone()
}
