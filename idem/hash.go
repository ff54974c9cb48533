package idem

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// hashVersion is part of every hash. It changes with the fields below, so that
// a hash of one kind never equals one of another kind by accident.
const hashVersion = "idem request 1"

// writeLengthPrefixed writes s behind its length, so that no two sequences of
// fields give the same bytes. w is a hash: it never fails.
func writeLengthPrefixed(w io.Writer, s string) {
	w.Write(appendLengthPrefixed(make([]byte, 0, 8+len(s)), s)) //nolint:errcheck // a hash never fails
}

func appendLengthPrefixed(b []byte, s string) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(len(s)))
	return append(b, s...)
}

// hashRequest is the default of Config.RequestHash: SHA-256 over method,
// original path, query and body, or the form that stands for the body.
func hashRequest(r *http.Request, form string, body []byte) string {
	path, query := originalTarget(r)
	head := make([]byte, 0, 256)
	head = appendLengthPrefixed(head, hashVersion)
	head = appendLengthPrefixed(head, r.Method)
	head = appendLengthPrefixed(head, path)
	head = appendLengthPrefixed(head, query)
	head = appendLengthPrefixed(head, form)
	head = binary.BigEndian.AppendUint64(head, uint64(len(body)))
	h := sha256.New()
	h.Write(head)
	h.Write(body)
	sum := h.Sum(head[:0])
	return string(hex.AppendEncode(sum[len(sum):], sum))
}

// originalTarget returns the escaped path and the query that the client sent.
// r.URL is no witness: http.StripPrefix and routers change it, and two routes
// would hash alike. An empty query is as good as none.
func originalTarget(r *http.Request) (path, query string) {
	target := r.RequestURI
	switch {
	case target == "":
		return r.URL.EscapedPath(), r.URL.RawQuery
	case target[0] != '/' && target != "*":
		if u, err := url.ParseRequestURI(target); err == nil && u.Opaque == "" && u.Host != "" {
			return u.EscapedPath(), u.RawQuery
		}
	}
	path, query, _ = strings.Cut(target, "?")
	return path, query
}

// storableHash returns what a custom Config.RequestHash said in a form that
// every Store can keep: printable, of limited length and not empty. What is so
// already stays as it is.
func storableHash(hash string) string {
	plain := hash != "" && len(hash) <= 255
	for i := range len(hash) {
		plain = plain && printable(hash[i])
	}
	if plain {
		return hash
	}
	sum := sha256.Sum256([]byte(hash))
	return hex.EncodeToString(sum[:])
}
