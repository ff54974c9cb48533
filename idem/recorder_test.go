package idem

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"
)

func commitAll(int, http.Header) Disposition { return CommitAll }

func newTestRecorder() (*recorder, *httptest.ResponseRecorder) {
	outer := httptest.NewRecorder()
	return newRecorder(outer, http.MethodPost), outer
}

// Behaviour 36.
func TestRecorderCapturesEveryWayOfWriting(t *testing.T) {
	t.Parallel()
	rec, outer := newTestRecorder()
	if _, err := io.Copy(rec, struct{ io.Reader }{strings.NewReader("copy ")}); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(rec, strings.NewReader("writer-to ")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(rec, "string "); err != nil {
		t.Fatal(err)
	}
	if _, err := rec.Write([]byte("bytes")); err != nil {
		t.Fatal(err)
	}
	c := rec.finish(commitAll)
	if got, want := string(c.Body), "copy writer-to string bytes"; got != want {
		t.Errorf("body %q, want %q", got, want)
	}
	if c.Status != 200 || outer.Body.Len() != 0 || len(outer.Header()) != 0 {
		t.Errorf("status %d; the outer writer got %q, %v", c.Status, outer.Body, outer.Header())
	}
}

// Behaviour 36.
func TestRecorderOfASilentHandler(t *testing.T) {
	t.Parallel()
	rec, outer := newTestRecorder()
	c := rec.finish(commitAll)
	if c.Status != 200 || len(c.Body) != 0 || len(c.Header) != 0 {
		t.Errorf("%+v, want an empty 200", c)
	}
	rec.deliver(outer)
	if outer.Header().Get("Content-Length") != "0" {
		t.Errorf("delivered header %v", outer.Header())
	}
}

func TestRecorderHeaderIsFrozenByWriteHeader(t *testing.T) {
	t.Parallel()
	rec, _ := newTestRecorder()
	rec.Header().Set("X-Before", "1")
	rec.WriteHeader(201)
	rec.Header().Set("X-After", "1")
	rec.Header()["X-Before"][0] = "2"
	rec.WriteHeader(500)
	rec.WriteHeader(-1)
	c := rec.finish(commitAll)
	if want := (http.Header{"X-Before": {"1"}}); c.Status != 201 || !reflect.DeepEqual(c.Header, want) {
		t.Errorf("%d %v, want 201 %v", c.Status, c.Header, want)
	}
}

func TestRecorderRefusesInvalidStatus(t *testing.T) {
	t.Parallel()
	for _, status := range []int{-1, 0, 99, 1000} {
		rec, _ := newTestRecorder()
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("status %d was taken", status)
				}
			}()
			rec.WriteHeader(status)
		}()
		rec.WriteHeader(204) // the lock is free again
	}
}

func TestRecorderStatusWithoutBody(t *testing.T) {
	t.Parallel()
	for _, status := range []int{101, 204, 304} {
		rec, outer := newTestRecorder()
		rec.WriteHeader(status)
		if _, err := rec.Write([]byte("x")); !errors.Is(err, http.ErrBodyNotAllowed) {
			t.Errorf("%d: Write: %v", status, err)
		}
		if _, err := rec.Write(nil); err != nil {
			t.Errorf("%d: empty Write: %v", status, err)
		}
		if c := rec.finish(commitAll); c.Status != status || len(c.Body) != 0 {
			t.Errorf("recorded %d %q", c.Status, c.Body)
		}
		rec.deliver(outer)
		if outer.Header().Get("Content-Length") != "" {
			t.Errorf("%d: delivered %v", status, outer.Header())
		}
	}
}

func TestRecorderContentType(t *testing.T) {
	t.Parallel()
	const page = "<!DOCTYPE html><p>"
	for name, c := range map[string]struct {
		set  func(http.Header)
		body string
		want []string
	}{
		"Sniffed":         {func(http.Header) {}, page, []string{"text/html; charset=utf-8"}},
		"Set":             {func(h http.Header) { h.Set("Content-Type", "text/x") }, page, []string{"text/x"}},
		"Suppressed":      {func(h http.Header) { h["Content-Type"] = nil }, page, nil},
		"ContentEncoding": {func(h http.Header) { h.Set("Content-Encoding", "gzip") }, page, nil},
		"NoBody":          {func(http.Header) {}, "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rec, _ := newTestRecorder()
			c.set(rec.Header())
			io.WriteString(rec, c.body) //nolint:errcheck // a recorder in its time takes all
			if got := rec.finish(commitAll).Header["Content-Type"]; !reflect.DeepEqual(got, c.want) {
				t.Errorf("Content-Type %q, want %q", got, c.want)
			}
		})
	}
}

// Behaviours 36, 58.
func TestRecorderLetsNothingOut(t *testing.T) {
	t.Parallel()
	rec, outer := newTestRecorder()
	var w http.ResponseWriter = rec
	if _, ok := w.(http.Flusher); ok {
		t.Error("it is a Flusher")
	}
	if _, ok := w.(interface{ Unwrap() http.ResponseWriter }); ok {
		t.Error("it can be unwrapped")
	}
	control := http.NewResponseController(w)
	if err := control.Flush(); !errors.Is(err, http.ErrNotSupported) {
		t.Errorf("Flush: %v", err)
	}
	if _, _, err := control.Hijack(); !errors.Is(err, http.ErrNotSupported) {
		t.Errorf("Hijack: %v", err)
	}
	if outer.Flushed {
		t.Error("the outer writer was flushed")
	}
}

// controlled notes what a ResponseController asks of a connection.
type controlled struct {
	http.ResponseWriter
	read, write time.Time
	duplex      bool
}

func (c *controlled) SetReadDeadline(d time.Time) error  { c.read = d; return nil }
func (c *controlled) SetWriteDeadline(d time.Time) error { c.write = d; return nil }
func (c *controlled) EnableFullDuplex() error            { c.duplex = true; return nil }

// Behaviour 58.
func TestRecorderForwardsDeadlinesWhileItsHandlerRuns(t *testing.T) {
	t.Parallel()
	outer := &controlled{ResponseWriter: httptest.NewRecorder()}
	rec := newRecorder(outer, http.MethodPost)
	control := http.NewResponseController(rec)
	deadline := time.Now().Add(time.Hour)
	err := errors.Join(control.SetReadDeadline(deadline), control.SetWriteDeadline(deadline), control.EnableFullDuplex())
	if err != nil || !outer.read.IsZero() || outer.write != deadline || !outer.duplex {
		t.Errorf("forwarded %+v, error %v", outer, err)
	}
	rec.end()
	for name, err := range map[string]error{
		"SetReadDeadline":  control.SetReadDeadline(time.Now()),
		"SetWriteDeadline": control.SetWriteDeadline(time.Now()),
		"EnableFullDuplex": control.EnableFullDuplex(),
	} {
		if !errors.Is(err, http.ErrHandlerTimeout) {
			t.Errorf("%s after the end: %v", name, err)
		}
	}
	if !outer.read.IsZero() || outer.write != deadline {
		t.Error("a deadline reached the connection after the end")
	}
}

func TestRecorderAfterItsEnd(t *testing.T) {
	t.Parallel()
	rec, outer := newTestRecorder()
	io.WriteString(rec, "kept") //nolint:errcheck // a recorder in its time takes all
	c := rec.finish(commitAll)
	_, errWrite := rec.Write([]byte("late"))
	_, errString := rec.WriteString("late")
	if !errors.Is(errWrite, http.ErrHandlerTimeout) || !errors.Is(errString, http.ErrHandlerTimeout) {
		t.Errorf("late writes: %v, %v", errWrite, errString)
	}
	rec.WriteHeader(103)
	rec.WriteHeader(500)
	if !bytes.Equal(c.Body, []byte("kept")) || rec.status != 200 || outer.Code != 200 {
		t.Errorf("late calls changed the response: %q, %d, %d", c.Body, rec.status, outer.Code)
	}
}

// informed notes the header that went out with an informational response.
type informed struct {
	http.ResponseWriter
	sent http.Header
}

func (i *informed) WriteHeader(int) { i.sent = i.Header().Clone() }

// Behaviour 36.
func TestRecorderInformsWithoutATrace(t *testing.T) {
	t.Parallel()
	outer := &informed{ResponseWriter: httptest.NewRecorder()}
	outer.Header().Set("X-Outer", "1")
	rec := newRecorder(outer, http.MethodPost)
	rec.Header().Set("Link", "</style.css>")
	rec.Header().Del("X-Outer")
	rec.WriteHeader(http.StatusEarlyHints)
	if want := (http.Header{"Link": {"</style.css>"}}); !reflect.DeepEqual(outer.sent, want) {
		t.Errorf("informed with %v, want %v", outer.sent, want)
	}
	if want := (http.Header{"X-Outer": {"1"}}); !reflect.DeepEqual(outer.Header(), want) {
		t.Errorf("it left %v behind, want %v", outer.Header(), want)
	}
	if rec.status != 0 {
		t.Errorf("it was taken for the answer: %d", rec.status)
	}
}

func newRecorder(outer http.ResponseWriter, method string) *recorder {
	rec := new(recorder)
	rec.begin(outer, method)
	return rec
}
