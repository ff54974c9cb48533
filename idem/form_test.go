package idem_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/pgidem/pgidem/idem"
)

// Behaviour 32. Uploads are part of the request where a form was parsed before
// it came to the middleware, and its boundary is not.
func TestUploadsThatWereParsedFurtherOutAreHashed(t *testing.T) {
	t.Parallel()
	a, b := upload{"file", "a.txt", "pay alice 10"}, upload{"file", "b.txt", "pay bob 20"}
	big := strings.Repeat("x", 100_000)
	for name, c := range map[string]struct{ first, second []upload }{
		"OtherContent": {[]upload{a}, []upload{{a.field, a.name, "pay mallory 9999"}}},
		"OtherName":    {[]upload{a}, []upload{{a.field, "other.txt", a.content}}},
		"OtherField":   {[]upload{a}, []upload{{"invoice", a.name, a.content}}},
		"OneMore":      {[]upload{a}, []upload{a, b}},
		"None":         {[]upload{a}, nil},
		"Swapped":      {[]upload{a, b}, []upload{b, a}},
		"Moved":        {[]upload{{"f", "n", "xy"}, {"f", "n", "z"}}, []upload{{"f", "n", "x"}, {"f", "n", "yz"}}},
		"OnDisk":       {[]upload{{"file", "n", big + "1"}}, []upload{{"file", "n", big + "2"}}},
		"Same":         {[]upload{a, b}, []upload{a, b}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			protected := idem.RESTMiddleware(idem.Config{Store: newMemory(t)})(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if f, _, err := r.FormFile(c.first[0].field); err == nil {
					io.Copy(w, f) //nolint:errcheck // recorded
				}
			}))
			srv := serveHandler(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if err := r.ParseMultipartForm(1); err != nil {
					t.Error(err)
				}
				protected.ServeHTTP(w, r)
			}))
			if got := send(t, srv, form(t, c.first...)); got.status != 200 || got.body != c.first[0].content {
				t.Errorf("first answer %+v", got)
			}
			retry := form(t, c.first...)
			retry.body = strings.ReplaceAll(retry.body, "boundary", "otherone")
			retry.header.Set("Content-Type", "multipart/form-data; boundary=otherone")
			if got := send(t, srv, retry); !got.replayed() || got.body != c.first[0].content {
				t.Errorf("answer to a retry %+v", got)
			}
			got := send(t, srv, form(t, c.second...))
			if name == "Same" && !got.replayed() || name != "Same" && (got.status != 422 || got.problem(t) != "hash-mismatch") {
				t.Errorf("second answer %+v", got)
			}
		})
	}
}

func TestTypeOfAnUploadIsHashed(t *testing.T) {
	t.Parallel()
	protected := idem.RESTMiddleware(idem.Config{Store: newMemory(t)})(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	srv := serveHandler(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.PostFormValue("csrf")
		protected.ServeHTTP(w, r)
	}))
	first, second := form(t, upload{"f", "n", "x"}), form(t, upload{"f", "n", "x"})
	second.body = strings.Replace(second.body, "application/octet-stream", "text/plain", 1)
	if a, b := send(t, srv, first), send(t, srv, second); a.status != 200 || b.status != 422 {
		t.Errorf("answers %+v and %+v", a, b)
	}
}

// fields is a form that is not multipart.
var fields = request{key: "k", body: "amount=1", header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}}

// A form is put in the request by whoever has parsed it; a multipart one by hand
// may have its fields there alone.
func TestFieldsThatWereParsedByHandAreHashed(t *testing.T) {
	t.Parallel()
	protected := idem.RESTMiddleware(idem.Config{Store: newMemory(t)})(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	srv := serveHandler(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		parts, err := r.MultipartReader()
		if err != nil {
			t.Error(err)
			return
		}
		if r.MultipartForm, err = parts.ReadForm(1); err != nil {
			t.Error(err)
		}
		protected.ServeHTTP(w, r)
	}))
	first, second := form(t), form(t)
	second.body = strings.Replace(second.body, "a note", "another", 1)
	if a, b := send(t, srv, first), send(t, srv, second); a.status != 200 || b.status != 422 {
		t.Errorf("answers %+v and %+v", a, b)
	}
}

func readAll(_ http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body) //nolint:errcheck // as careless as the others
}

// readers are what may stand further out and read the body, each of another
// kind; nothing of the body is left.
var readers = map[string]struct {
	request
	read http.HandlerFunc
}{
	"ReadAll": {request{key: "k", body: "b"}, readAll},
	"Closed": {request{key: "k", body: "b"}, func(w http.ResponseWriter, r *http.Request) {
		readAll(w, r)
		r.Body.Close()
	}},
	"Decoded": {request{key: "k", body: "{}"}, func(_ http.ResponseWriter, r *http.Request) {
		var v any
		json.NewDecoder(r.Body).Decode(&v) //nolint:errcheck // as careless as the others
	}},
	"Begun": {request{key: "k", body: `{"amount": 1}` + strings.Repeat(" ", 1000)}, func(_ http.ResponseWriter, r *http.Request) {
		var v any
		json.NewDecoder(r.Body).Decode(&v) //nolint:errcheck // it reads so much at a time
	}},
	"Replaced": {request{key: "k", body: "b"}, func(_ http.ResponseWriter, r *http.Request) { r.Body = http.NoBody }},
	"Limited": {request{key: "k", body: "b"}, func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, 10)
		readAll(w, r)
	}},
	"NoForm": {request{key: "k", body: "b"}, func(w http.ResponseWriter, r *http.Request) {
		r.PostFormValue("csrf") // sets an empty form
		readAll(w, r)
	}},
	"Parts": {
		request{key: "k", body: "--b--", header: http.Header{"Content-Type": {"multipart/form-data; boundary=b"}}},
		func(w http.ResponseWriter, r *http.Request) {
			r.MultipartReader() //nolint:errcheck // as careless as the others
			readAll(w, r)
		},
	},
}

// Behaviour 32. Whatever stood in such a body, the requests would hash alike.
// Only a Config.RequestHash knows better.
func TestBodyThatWasReadFurtherOutIsRefused(t *testing.T) {
	t.Parallel()
	for name, c := range readers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var l ledger
			var seen events
			behind := func(cfg idem.Config) http.HandlerFunc {
				cfg.Store, cfg.Observer = newMemory(t), seen.observe
				protected := idem.RESTMiddleware(cfg)(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { l.runs.Add(1) }))
				return func(w http.ResponseWriter, r *http.Request) {
					c.read(w, r)
					protected.ServeHTTP(w, r)
				}
			}
			a := send(t, serveHandler(t, behind(idem.Config{})), c.request)
			if a.status != 500 || a.problem(t) != "request-unreadable" || l.runs.Load() != 0 || strings.Contains(a.body, "further out") {
				t.Errorf("answer %+v, %d runs", a, l.runs.Load())
			}
			e := seen.wait(t, 1)[0]
			if !errors.Is(e.Err, idem.ErrRequestUnreadable) || !strings.Contains(e.Err.Error(), "mount the middleware outside") {
				t.Errorf("event %+v", e)
			}
			if name == "Closed" {
				return // who asks for this body gets an error
			}
			if a = send(t, serveHandler(t, behind(idem.Config{RequestHash: fixedHash})), c.request); a.status != 200 || l.runs.Load() != 1 {
				t.Errorf("with a RequestHash: answer %+v, %d runs", a, l.runs.Load())
			}
		})
	}
}

func TestUploadThatIsGoneIsRefused(t *testing.T) {
	t.Parallel()
	protected := idem.RESTMiddleware(idem.Config{Store: newMemory(t)})(http.HandlerFunc(
		func(http.ResponseWriter, *http.Request) { t.Error("handler ran") }))
	srv := serveHandler(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseMultipartForm(1); err != nil {
			t.Error(err)
		}
		r.MultipartForm.RemoveAll() //nolint:errcheck // the next Open would tell
		protected.ServeHTTP(w, r)
	}))
	if a := send(t, srv, large(t)); a.status != 500 || a.problem(t) != "request-unreadable" {
		t.Errorf("answer %+v", a)
	}
}

// What is put back, parsed or never was there is not missed.
func TestBodyIsNotMissed(t *testing.T) {
	t.Parallel()
	body := request{key: "k", body: "b"}
	putBack := func(read http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			copied, _ := io.ReadAll(r.Body)
			r.Body = io.NopCloser(bytes.NewReader(copied))
			read(w, r)
			r.Body = io.NopCloser(bytes.NewReader(copied))
		}
	}
	untouched := func(http.ResponseWriter, *http.Request) {}
	for name, c := range map[string]struct {
		request
		read http.HandlerFunc
	}{
		"PutBack":     {body, putBack(readAll)},
		"FormPutBack": {fields, putBack(func(_ http.ResponseWriter, r *http.Request) { r.PostFormValue("csrf") })},
		"Form":        {fields, func(_ http.ResponseWriter, r *http.Request) { r.PostFormValue("csrf") }},
		"Multipart":   {form(t), func(_ http.ResponseWriter, r *http.Request) { r.PostFormValue("csrf") }},
		"Emptied":     {body, func(_ http.ResponseWriter, r *http.Request) { r.Body, r.ContentLength = http.NoBody, 0 }},
		"Unpacked": {request{key: "k", body: "bbb", header: http.Header{"Content-Encoding": {"gzip"}}}, func(_ http.ResponseWriter, r *http.Request) {
			r.Body = io.NopCloser(strings.NewReader("b"))
		}},
		"UnpackedAsIf": {request{key: "k", body: "bbb"}, func(_ http.ResponseWriter, r *http.Request) {
			r.Header.Del("Content-Length") // and leaves Request.ContentLength
			r.Body = io.NopCloser(strings.NewReader("b"))
		}},
		"NoLength":      {body, func(w http.ResponseWriter, r *http.Request) { r.ContentLength = -1; readAll(w, r) }},
		"NoneSent":      {request{key: "k"}, readAll},
		"GET":           {request{method: "GET", key: "k"}, untouched},
		"HEAD":          {request{method: "HEAD", key: "k"}, untouched},
		"DELETE":        {request{method: "DELETE", key: "k"}, func(_ http.ResponseWriter, r *http.Request) { r.PostFormValue("csrf") }},
		"DELETEHasBody": {request{method: "DELETE", key: "k", body: "b"}, func(_ http.ResponseWriter, r *http.Request) { r.PostFormValue("csrf") }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := idem.Config{Store: newMemory(t), Methods: []string{"GET", "HEAD", "POST", "DELETE"}}
			protected := idem.RESTMiddleware(cfg)(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
			srv := serveHandler(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				c.read(w, r)
				protected.ServeHTTP(w, r)
			}))
			for i := range 2 {
				if a := send(t, srv, c.request); a.status != 200 || a.replayed() != (i == 1) {
					t.Errorf("answer %d: %+v", i, a)
				}
			}
		})
	}
	// No server gives such a request to a handler, but tests do.
	r := httptest.NewRequest("POST", "/", nil)
	r.Body = nil
	r.Header.Set("Idempotency-Key", "k")
	w := httptest.NewRecorder()
	idem.RESTMiddleware(idem.Config{Store: newMemory(t)})(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(w, r)
	if w.Code != 200 {
		t.Errorf("without a Body: %d %s", w.Code, w.Body)
	}
}
