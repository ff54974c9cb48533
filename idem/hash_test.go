package idem

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

func hashOf(method, target, body string) string {
	return hashRequest(httptest.NewRequest(method, target, nil), "", []byte(body))
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
	if got := hashRequest(&http.Request{Method: "POST", URL: u}, "", []byte("x")); got != want {
		t.Error("a request that no server has read hashes differently")
	}
}

// parsed returns a request whose form something further out has parsed, and what
// stands for its body.
func parsed(t *testing.T, form string) (*http.Request, string) {
	t.Helper()
	r := httptest.NewRequest("POST", "/a?q=1", strings.NewReader(form))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if err := r.ParseForm(); err != nil {
		t.Fatal(err)
	}
	text, err := parsedForm(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r, text
}

func TestHashSeesAFormThatWasParsedFurtherOut(t *testing.T) {
	t.Parallel()
	hash := func(form string) string {
		r, text := parsed(t, form)
		return hashRequest(r, text, nil)
	}
	if hash("amount=1") == hash("amount=2") {
		t.Error("two forms hash alike")
	}
	if hash("amount=1&to=a") != hash("to=a&amount=1") {
		t.Error("the order of two fields counts")
	}
}

// Behaviour 13. Records hold these.
func TestHashIsTheSameInEachVersion(t *testing.T) {
	t.Parallel()
	r, form := parsed(t, "to=a&amount=1")
	if got := hashRequest(r, form, nil); got != "d90221ecfceeb79ec87787f635aa2731e1322751fcbb19577df833315564ccb1" {
		t.Errorf("a form hashes to %s", got)
	}
	if got := hashRequest(r, "", []byte("x")); got != "0b52b4fb467f18318b8d47eab901a8b99b0f29cb45e36e3add775cf72e22c7b5" {
		t.Errorf("a body hashes to %s", got)
	}
	for want, request := range map[string]any{
		"f45ded5345a35d0d71a3bf0e2920005b1befc8fc0079c2f4e892dc4595acafe2": nil,
		"8598b40d4e70aa95a91621b15720aa7a12a68b3f8cdc3d0d439afd1f91588fc6": "é\ufffd<",
		"2165b9f36aa5121c0660002402631eb825abed7991456e81bb6ece85f063a07a": map[string]any{"a": 1, "m": map[string]string{}},
		"4c09161f1b605de64ea47d63946edfc5160415b5696255f007f4b4898c1b1aa6": struct{ A, b int }{1, 2},
		"976bfc68d005c2a34f81fe8491f7127191824af66a3649973e45bcd0e85fb568": struct{}{},
		"ed0970c809b043007c0a37e13ae1059ce886f0c5746fe92159e11e169f17dd21": RequestHash("a"),
	} {
		if got, err := hashDoRequest(request); got != want || err != nil {
			t.Errorf("Do: %#v hashes to %s, %v", request, got, err)
		}
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
