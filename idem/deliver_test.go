package idem

import (
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"testing"
)

func TestRecorderDeliversAllHeadersAndDeletions(t *testing.T) {
	t.Parallel()
	outer := httptest.NewRecorder()
	outer.Header().Set("X-Outer", "1")
	outer.Header().Set("X-Removed", "1")
	outer.Header().Set("X-Changed", "1")
	rec := newRecorder(outer, http.MethodPost)
	h := rec.Header()
	h.Del("X-Removed")
	h.Set("X-Changed", "2")
	h.Add("Set-Cookie", "a=1")
	h.Add("Set-Cookie", "b=2")
	h.Set("Content-Length", "999")
	if outer.Header().Get("X-Changed") != "1" {
		t.Error("the handler changes the outer header map")
	}
	io.WriteString(rec, "body") //nolint:errcheck // a recorder in its time takes all
	rec.finish(commitAll)
	rec.deliver(outer)
	want := http.Header{
		"X-Outer": {"1"}, "X-Changed": {"2"}, "Set-Cookie": {"a=1", "b=2"},
		"Content-Length": {"4"}, "Content-Type": {"text/plain; charset=utf-8"},
	}
	if !reflect.DeepEqual(outer.Header(), want) {
		t.Errorf("delivered\n %v, want\n %v", outer.Header(), want)
	}
}

func TestRecorderHeadWithoutBodyKeepsItsLength(t *testing.T) {
	t.Parallel()
	outer := httptest.NewRecorder()
	rec := newRecorder(outer, http.MethodHead)
	rec.Header().Set("Content-Length", "1234")
	rec.finish(commitAll)
	rec.deliver(outer)
	if got := outer.Header().Get("Content-Length"); got != "1234" {
		t.Errorf("Content-Length %q", got)
	}
}

func TestReplayAssignsAndNeverAdds(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	w.Header().Set("Vary", "Origin")
	w.Header().Set("X-Outer", "1")
	c := Cached{Status: 201, Header: http.Header{"Vary": {"Origin", "Accept"}}, Body: []byte("<p>")}
	new(recorder).replay(w, http.MethodPost, c, "Idempotent-Replayed")
	want := http.Header{
		"Vary": {"Origin", "Accept"}, "X-Outer": {"1"}, "Idempotent-Replayed": {"true"},
		"Content-Length": {"3"}, "Content-Type": nil,
	}
	if !reflect.DeepEqual(w.Header(), want) || w.Code != 201 || w.Body.String() != "<p>" {
		t.Errorf("replayed %d %q\n %v, want\n %v", w.Code, w.Body, w.Header(), want)
	}
	w.Header()["Vary"][0] = "changed"
	if c.Header["Vary"][0] != "Origin" {
		t.Error("the replayed header shares memory with the record")
	}
}
