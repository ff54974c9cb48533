package idem

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

func hashOf(method, target, body string) string {
	return hashRequest(httptest.NewRequest(method, target, nil), []byte(body))
}

// Behaviour 32.
func TestHashTellsRequestsApart(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for _, c := range [][3]string{
		{"POST", "/a", "x"},
		{"PUT", "/a", "x"},
		{"POST", "/b", "x"},
		{"POST", "/a/", "x"},
		{"POST", "/a%2Fb", "x"},
		{"POST", "/a/b", "x"},
		{"POST", "/a?q=1", "x"},
		{"POST", "/a?q=2", "x"},
		{"POST", "/a%3Fq=1", "x"},
		{"POST", "/a", ""},
		{"POST", "/a", "xx"},
		{"POST", "/ax", ""},
		{"POST", "/a?x", ""},
	} {
		name := strings.Join(c[:], " ")
		h := hashOf(c[0], c[1], c[2])
		if len(h) != 64 {
			t.Errorf("%s: hash %q", name, h)
		}
		if other, ok := seen[h]; ok {
			t.Errorf("%q and %q hash alike", name, other)
		}
		seen[h] = name
	}
}

func TestHashOfOneRequestIsStable(t *testing.T) {
	t.Parallel()
	want := hashOf("POST", "/a%2Fb?q=1", "x")
	if got := hashOf("POST", "http://example.com/a%2Fb?q=1", "x"); got != want {
		t.Error("the absolute form of a request target hashes differently")
	}
	if hashOf("POST", "/a?", "") != hashOf("POST", "/a", "") {
		t.Error("an empty query counts")
	}
	u, err := url.Parse("/a%2Fb?q=1")
	if err != nil {
		t.Fatal(err)
	}
	if got := hashRequest(&http.Request{Method: "POST", URL: u}, []byte("x")); got != want {
		t.Error("a request that no server has read hashes differently")
	}
}

func TestHashSeesAFormThatWasParsedFurtherOut(t *testing.T) {
	t.Parallel()
	hash := func(form string) string {
		r := httptest.NewRequest("POST", "/a", strings.NewReader(form))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if err := r.ParseForm(); err != nil {
			t.Fatal(err)
		}
		return hashRequest(r, nil)
	}
	if hash("amount=1") == hash("amount=2") {
		t.Error("two forms hash alike")
	}
	if hash("amount=1&to=a") != hash("to=a&amount=1") {
		t.Error("the order of two fields counts")
	}
}

func TestStorableHash(t *testing.T) {
	t.Parallel()
	if got := storableHash("sha256:abc"); got != "sha256:abc" {
		t.Errorf("a plain hash became %q", got)
	}
	for _, odd := range []string{"", "\x00", "\xff\xfe", "ü", strings.Repeat("h", 256)} {
		if got := storableHash(odd); len(got) != 64 {
			t.Errorf("%q became %q", odd, got)
		}
	}
}
