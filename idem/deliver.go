package idem

import (
	"maps"
	"net/http"
)

// deliver sends the finished response with all its headers. Those that the
// handler removed from the outer header map are removed there too.
func (rec *recorder) deliver(w http.ResponseWriter) {
	h := w.Header()
	encoded := encodedFurtherOut(h)
	replaceHeader(h, rec.sent)
	if rec.trailers != nil || encoded {
		// A declared length would leave HTTP/1.1 no place for them.
		h.Del("Content-Length")
	} else {
		setContentLength(h, rec.method, rec.status, len(rec.body), &rec.length)
	}
	writeResponse(w, rec.status, rec.body)
	maps.Copy(h, rec.trailers)
}

// replay sends a recorded response through a recorder that has no other use. Its
// headers replace those of the same name.
func (rec *recorder) replay(w http.ResponseWriter, method string, c Cached, marker string) {
	h := w.Header()
	encoded := encodedFurtherOut(h)
	rec.frozen.freeze(c.Header)
	rec.frozen.setIn(h)
	rec.marker[0] = "true"
	h[marker] = rec.marker[:]
	if _, typed := h["Content-Type"]; !typed && len(c.Body) > 0 {
		// The first answer had none either, or it would have been kept.
		h["Content-Type"] = nil
	}
	if !encoded {
		setContentLength(h, method, c.Status, len(c.Body), &rec.length)
	}
	writeResponse(w, c.Status, c.Body)
}

// encodedFurtherOut tells whether an outer writer has announced that it will encode
// what is written to it: the length of that is not known here.
func encodedFurtherOut(h http.Header) bool { return h.Get("Content-Encoding") != "" }

func writeResponse(w http.ResponseWriter, status int, body []byte) {
	w.WriteHeader(status)
	if len(body) > 0 {
		w.Write(body) //nolint:errcheck // the client is gone: nobody is left to tell
	}
}
