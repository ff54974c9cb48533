package idem

import (
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"maps"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
)

// errBodyRead is an ErrRequestUnreadable that is no fault of the client.
var errBodyRead = fmt.Errorf(
	"%w: something further out has read it: mount the middleware outside of that, or give the body back to Request.Body",
	ErrRequestUnreadable)

// parsedForm stands for the body where something further out has read it
// already by parsing a form; without it all such requests would hash alike. A
// body that was declared, and that nothing is left of, is an error: it may have
// been any; and so is one of which less is left. The length of one that was not
// declared nobody knows.
func parsedForm(r *http.Request, body []byte) (string, error) {
	switch {
	case len(body) == 0:
	case int64(len(body)) < r.ContentLength && !decoded(r):
		return "", errBodyRead // in part: what is left may be the same for many
	default:
		return "", nil
	}
	form, files := r.PostForm, map[string][]*multipart.FileHeader(nil)
	if r.MultipartForm != nil {
		files = r.MultipartForm.File
		if len(form) == 0 {
			form = url.Values(r.MultipartForm.Value)
		}
	}
	text := form.Encode()
	if len(files) > 0 {
		sum, err := hashUploads(files)
		if err != nil {
			return "", fmt.Errorf("%w: %w", errBodyRead, err)
		}
		text += "\x00" + sum // no encoded form has this byte
	}
	if text == "" && r.ContentLength > 0 {
		return "", errBodyRead
	}
	return text, nil
}

// decoded tells whether the body may be what something further out has decoded it to:
// then the headers say how it came, or were taken away.
func decoded(r *http.Request) bool {
	return r.Header.Get("Content-Encoding") != "" || r.Header.Get("Content-Length") == ""
}

// hashUploads returns a hash of the files of a form, of each its field, its name,
// its type and its content.
func hashUploads(files map[string][]*multipart.FileHeader) (string, error) {
	h := sha256.New()
	for _, field := range slices.Sorted(maps.Keys(files)) {
		for _, file := range files[field] {
			writeLengthPrefixed(h, field)
			writeLengthPrefixed(h, file.Filename)
			writeLengthPrefixed(h, file.Header.Get("Content-Type"))
			if err := hashUpload(h, file); err != nil {
				return "", err
			}
		}
	}
	return string(h.Sum(nil)), nil
}

// hashUpload reads the file piece by piece: it may be larger than any body that
// is held in memory.
func hashUpload(h hash.Hash, file *multipart.FileHeader) error {
	content, err := file.Open()
	if err != nil {
		return err
	}
	defer content.Close()
	whole := sha256.New()
	if _, err = io.Copy(whole, content); err != nil {
		return err
	}
	h.Write(whole.Sum(nil))
	return nil
}
