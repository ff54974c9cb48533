package idem_test

import (
	"context"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/pgidem/pgidem/idem"
)

// upload is a file of a multipart form.
type upload struct{ field, name, content string }

// form returns a request with key "k" that uploads files, and has a field "note".
func form(t *testing.T, files ...upload) request {
	t.Helper()
	var body strings.Builder
	m := multipart.NewWriter(&body)
	if err := m.SetBoundary("boundary"); err != nil {
		t.Fatal(err)
	}
	if err := m.WriteField("note", "a note"); err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		part, err := m.CreateFormFile(f.field, f.name)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(part, f.content) //nolint:errcheck // into memory
	}
	m.Close()
	return request{key: "k", body: body.String(), header: http.Header{"Content-Type": {m.FormDataContentType()}}}
}

// large is a form with a file that parse keeps on disk.
func large(t *testing.T) request {
	return form(t, upload{"file", "name", strings.Repeat("x", 100_000)})
}

// onDisk are the temporary files that a test has seen.
type onDisk struct {
	mu    sync.Mutex
	names []string
}

// parse reads the form of r, if nobody has yet, and notes its file.
func (d *onDisk) parse(t *testing.T, r *http.Request) {
	t.Helper()
	if err := r.ParseMultipartForm(1); err != nil {
		t.Error(err)
		return
	}
	f, err := r.MultipartForm.File["file"][0].Open()
	if err != nil {
		t.Error(err)
		return
	}
	defer f.Close()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.names = append(d.names, f.(*os.File).Name())
}

// mustBeGone demands that the test has seen n files, and that none is left.
func (d *onDisk) mustBeGone(t *testing.T, n int) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.names) != n {
		t.Errorf("%d files were seen, want %d", len(d.names), n)
	}
	for _, name := range d.names {
		if _, err := os.Stat(name); !os.IsNotExist(err) {
			t.Errorf("%s is left: %v", name, err)
			os.Remove(name)
		}
	}
}

// The server removes the files of a parsed form only for its own request.
func TestUploadsAreRemoved(t *testing.T) {
	t.Parallel()
	unavailable := func(context.Context) error { return idem.ErrStoreUnavailable }
	for name, cfg := range map[string]idem.Config{
		"Protected": {},
		"FailOpen":  {FailOpen: true, Store: hookedStore{reserve: unavailable}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var files onDisk
			srv := serve(t, cfg, func(_ http.ResponseWriter, r *http.Request) { files.parse(t, r) })
			if a := send(t, srv, large(t)); a.status != 200 {
				t.Errorf("answer %+v", a)
			}
			srv.Close()
			files.mustBeGone(t, 1)
		})
	}
}

func TestUploadsThatRequestHashHasParsedAreRemoved(t *testing.T) {
	t.Parallel()
	var files onDisk
	cfg := idem.Config{RequestHash: func(r *http.Request) (string, error) {
		files.parse(t, r)
		return "hash", nil
	}}
	srv := serve(t, cfg, func(http.ResponseWriter, *http.Request) {})
	for i := range 2 {
		if a := send(t, srv, large(t)); a.status != 200 || a.replayed() != (i == 1) {
			t.Errorf("answer %d: %+v", i, a)
		}
	}
	srv.Close()
	files.mustBeGone(t, 2)
}

// Whoever has parsed the form further out still has its files when the handler
// has returned, and so has the handler's next run.
func TestUploadsThatWereParsedFurtherOutStay(t *testing.T) {
	t.Parallel()
	custom := func(r *http.Request) (string, error) { return r.FormValue("note"), nil }
	for name, cfg := range map[string]idem.Config{
		"RunAgain":    {Store: conflictStore(t, 1)},
		"RequestHash": {Store: conflictStore(t, 1), RequestHash: custom},
		"FailOpen": {FailOpen: true, Store: hookedStore{
			reserve: func(context.Context) error { return idem.ErrStoreUnavailable },
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var files onDisk
			runs := 1
			if !cfg.FailOpen {
				runs = 2
			}
			protected := idem.RESTMiddleware(cfg)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				files.parse(t, r)
			}))
			srv := serveHandler(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				files.parse(t, r)
				protected.ServeHTTP(w, r)
				files.parse(t, r)
			}))
			if a := send(t, srv, large(t)); a.status != 200 {
				t.Errorf("answer %+v", a)
			}
			srv.Close()
			files.mustBeGone(t, runs+2)
		})
	}
}

// A form that the handler parses anew is its own, even if it came with one.
func TestUploadsThatAHandlerParsesAnewAreRemoved(t *testing.T) {
	t.Parallel()
	var files onDisk
	protected := idem.RESTMiddleware(idem.Config{Store: newMemory(t)})(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		r.MultipartForm = nil
		files.parse(t, r)
	}))
	srv := serveHandler(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body strings.Builder
		r.Body = io.NopCloser(io.TeeReader(r.Body, &body))
		files.parse(t, r)
		r.Body = io.NopCloser(strings.NewReader(body.String()))
		protected.ServeHTTP(w, r)
	}))
	if a := send(t, srv, large(t)); a.status != 200 {
		t.Errorf("answer %+v", a)
	}
	srv.Close()
	files.mustBeGone(t, 2)
}
