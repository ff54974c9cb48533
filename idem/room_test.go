package idem_test

import (
	"bytes"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/pgidem/pgidem/idem"
)

// greedy is a writer that appends to what it is given, as none should.
type greedy struct {
	bytes.Buffer
	kept []byte
}

func (g *greedy) Write(p []byte) (int, error) {
	g.kept = append(p, "spoiled by the writer"...) //nolint:staticcheck // the fault to be survived
	return g.Buffer.Write(p)
}

// Neither the request nor the response can be reached through the other, or
// through what a reader is given of it.
func TestRequestAndResponseDoNotMeet(t *testing.T) {
	t.Parallel()
	srv := serve(t, idem.Config{}, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "first ") //nolint:errcheck // recorded
		var read greedy
		io.Copy(&read, r.Body)                            //nolint:errcheck // from memory
		io.WriteString(w, strings.Repeat("response ", 9)) //nolint:errcheck // recorded
		again, _ := r.GetBody()
		body, _ := io.ReadAll(again)
		if !bytes.Equal(body, read.Bytes()) {
			t.Errorf("the body was %q, and is %q", read.Bytes(), body)
		}
		w.Write(body) //nolint:errcheck // recorded
	})
	for _, size := range []int{0, 1, 100, 430, 511, 512, 513, 5000} {
		body := strings.Repeat("b", size)
		want := "first " + strings.Repeat("response ", 9) + body
		for range 2 {
			a := send(t, srv, request{key: strconv.Itoa(size), body: body})
			if a.status != 200 || a.body != want || a.header.Get("Content-Length") != strconv.Itoa(len(want)) {
				t.Errorf("size %d: answer %+v", size, a)
			}
		}
	}
}
