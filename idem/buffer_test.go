package idem_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/pgidem/pgidem/idem"
)

// countingListener counts the bytes that a server writes.
type countingListener struct {
	net.Listener
	written *atomic.Int64
}

func (l countingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return countingConn{c, l.written}, err
}

type countingConn struct {
	net.Conn
	written *atomic.Int64
}

func (c countingConn) Write(p []byte) (int, error) {
	c.written.Add(int64(len(p)))
	return c.Conn.Write(p)
}

// Behaviour 58.
func TestNoByteBeforeCommit(t *testing.T) {
	t.Parallel()
	var written, atCommit atomic.Int64
	atCommit.Store(-1)
	store := hookedStore{Store: newMemory(t), commit: func(context.Context) error {
		atCommit.Store(written.Load())
		return nil
	}}
	handler := func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, strings.Repeat("much ", 50_000)) //nolint:errcheck // recorded
		if err := http.NewResponseController(w).Flush(); !errors.Is(err, http.ErrNotSupported) {
			t.Errorf("Flush: %v", err)
		}
		if _, ok := w.(http.Flusher); ok {
			t.Error("the writer is a Flusher")
		}
	}
	srv := httptest.NewUnstartedServer(idem.RESTMiddleware(idem.Config{Store: store})(http.HandlerFunc(handler)))
	srv.Listener = countingListener{srv.Listener, &written}
	srv.Start()
	t.Cleanup(srv.Close)
	a := send(t, srv, request{key: "k"})
	if len(a.body) != 250_000 || a.header.Get("Content-Length") != "250000" {
		t.Errorf("%d bytes, Content-Length %s", len(a.body), a.header.Get("Content-Length"))
	}
	if n := atCommit.Load(); n != 0 {
		t.Errorf("%d bytes had been written when Commit began", n)
	}
}

// Behaviour 59.
func TestReplaysShareNoMemory(t *testing.T) {
	t.Parallel()
	store := newMemory(t)
	protected := idem.RESTMiddleware(idem.Config{Store: store})(http.HandlerFunc(
		func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Kept", "original")
			io.WriteString(w, "original") //nolint:errcheck // recorded
		}))
	for i := range 3 {
		w := &vandal{header: http.Header{}}
		r := httptest.NewRequest("POST", "/", nil)
		r.Header.Set("Idempotency-Key", "k")
		protected.ServeHTTP(w, r)
		if w.seen != "original" || w.seenHeader != "original" {
			t.Errorf("answer %d: body %q, header %q", i, w.seen, w.seenHeader)
		}
	}
}

// vandal is a writer that overwrites everything it is given.
type vandal struct {
	header           http.Header
	seen, seenHeader string
}

func (v *vandal) Header() http.Header { return v.header }

func (v *vandal) WriteHeader(int) {
	v.seenHeader = v.header.Get("X-Kept")
	v.header["X-Kept"][0] = "spoiled"
}

func (v *vandal) Write(p []byte) (int, error) {
	v.seen = string(p)
	clear(p)
	return len(p), nil
}

// Behaviour 38.
func TestHandlerReadsTheWholeBody(t *testing.T) {
	t.Parallel()
	body := strings.Repeat("0123456789", 30_000)
	hashes := map[string]func(*http.Request) (string, error){
		"DefaultHash": nil,
		"HashReadsAll": func(r *http.Request) (string, error) {
			b, err := io.ReadAll(r.Body)
			return strconv.Itoa(len(b)), err
		},
		"HashReadsHalf": func(r *http.Request) (string, error) {
			_, err := io.CopyN(io.Discard, r.Body, 1000)
			return "half", err
		},
		"HashParsesForm": func(r *http.Request) (string, error) { return "form", r.ParseForm() },
	}
	for name, hash := range hashes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := serve(t, idem.Config{RequestHash: hash}, func(w http.ResponseWriter, r *http.Request) {
				got, err := io.ReadAll(r.Body)
				again, errAgain := r.GetBody()
				if err != nil || errAgain != nil || string(got) != body || r.ContentLength != int64(len(body)) {
					t.Errorf("handler read %d of %d bytes: %v, %v", len(got), r.ContentLength, err, errAgain)
				}
				if got, err := io.ReadAll(again); err != nil || string(got) != body {
					t.Errorf("GetBody gave %d bytes, %v", len(got), err)
				}
				if _, err := io.Copy(w, bytes.NewReader(got)); err != nil {
					t.Error(err)
				}
			})
			for _, header := range []http.Header{nil, {"Content-Type": {"application/x-www-form-urlencoded"}}} {
				if a := send(t, srv, request{key: "k" + strconv.Itoa(len(header)), body: body, header: header}); a.body != body {
					t.Errorf("%d bytes came back, status %d", len(a.body), a.status)
				}
			}
		})
	}
}
