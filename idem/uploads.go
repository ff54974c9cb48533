package idem

import (
	"mime/multipart"
	"net/http"
)

// removeUploads does for a copy of a request what the server does for its own:
// it removes the files that parsing a multipart form has left on disk. Those of
// the form that the copy came with belong to whoever parsed it further out.
func removeUploads(r *http.Request, given *multipart.Form) {
	if r.MultipartForm != nil && r.MultipartForm != given {
		r.MultipartForm.RemoveAll() //nolint:errcheck // as the server does
	}
}
