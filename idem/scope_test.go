package idem_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/pgidem/pgidem/idem"
)

func tenant(r *http.Request) (string, error) {
	if r.Header.Get("X-Tenant") == "broken" {
		return "", errors.New("password=hunter2")
	}
	return r.Header.Get("X-Tenant"), nil
}

// Behaviour 33.
func TestScopesNeverMeet(t *testing.T) {
	t.Parallel()
	store := newMemory(t)
	var l ledger
	handler := func(w http.ResponseWriter, r *http.Request) {
		l.runs.Add(1)
		io.WriteString(w, r.Header.Get("X-Tenant")) //nolint:errcheck // recorded
	}
	scoped := serve(t, idem.Config{Store: store, Scope: tenant}, handler)
	unscoped := serve(t, idem.Config{Store: store}, handler)
	callers := []struct{ scope, key string }{
		{"a", "k"},
		{"b", "k"},
		{"a", "kk"},
		{"ak", "k"},
		{"a:k", "k"},
		{"a", "k:k"},
		{"a b", "k"},
		{"\xc3\xa4", "k"},
		{"a", `"k "`},
		{"a k", "k"},
	}
	for _, c := range callers {
		if a := send(t, scoped, request{key: c.key, header: http.Header{"X-Tenant": {c.scope}}}); a.replayed() || a.body != c.scope {
			t.Errorf("%q: %+v", c, a)
		}
	}
	for _, key := range []string{"k", "a:k", "ak", "akk"} {
		if a := send(t, unscoped, request{key: key}); a.replayed() {
			t.Errorf("unscoped %q: %+v", key, a)
		}
	}
	if n := l.runs.Load(); n != int64(len(callers)+4) {
		t.Errorf("handler ran %d times", n)
	}
	for _, c := range callers {
		if a := send(t, scoped, request{key: c.key, header: http.Header{"X-Tenant": {c.scope}}}); !a.replayed() || a.body != c.scope {
			t.Errorf("again %q: %+v", c, a)
		}
	}
}

// Behaviour 33.
func TestScopeDenied(t *testing.T) {
	t.Parallel()
	for name, scope := range map[string]string{
		"Empty": "", "Error": "broken", "Separator": "a\x1fb", "NUL": "a\x00", "Newline": "a\n", "DEL": "a\x7f", "InvalidUTF8": "\xff",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := idem.Config{
				Store:    hookedStore{Store: newMemory(t), reserve: neverReserve(t)},
				FailOpen: true,
				Scope: func(*http.Request) (string, error) {
					if scope == "broken" {
						return "", errors.Join(errors.New("password=hunter2"), idem.ErrStoreUnavailable)
					}
					return scope, nil
				},
			}
			srv := serve(t, cfg, func(http.ResponseWriter, *http.Request) { t.Error("handler ran") })
			a := send(t, srv, request{key: "k"})
			if a.status != 403 || a.problem(t) != "scope-denied" || strings.Contains(a.body, "hunter2") {
				t.Errorf("answer %+v", a)
			}
		})
	}
}

// Behaviour 57.
func TestLongScopeAndKey(t *testing.T) {
	t.Parallel()
	var l ledger
	scope := strings.Repeat("s", idem.MaxStoredKeyBytes-1-idem.MaxKeyBytes)
	cfg := idem.Config{Scope: func(r *http.Request) (string, error) { return scope + r.Header.Get("X-Tenant"), nil }}
	srv := serve(t, cfg, func(http.ResponseWriter, *http.Request) { l.runs.Add(1) })
	key := strings.Repeat("k", idem.MaxKeyBytes)
	send(t, srv, request{key: key})
	if a := send(t, srv, request{key: key}); a.status != 200 || !a.replayed() {
		t.Errorf("at the bound: %+v", a)
	}
	a := send(t, srv, request{key: key, header: http.Header{"X-Tenant": {"s"}}})
	if a.status != 400 || a.problem(t) != "key-invalid" {
		t.Errorf("over the bound: %+v", a)
	}
	if l.runs.Load() != 1 {
		t.Errorf("handler ran %d times", l.runs.Load())
	}
}

// Whatever Scope says, its failure is a 403 and no more is told.
func TestScopeDeniedWhateverItsErrorIs(t *testing.T) {
	t.Parallel()
	srv := serve(t, idem.Config{Scope: func(r *http.Request) (string, error) {
		tenant := r.Header.Get("X-Tenant")
		return tenant, idem.ValidateKey(tenant)
	}}, func(http.ResponseWriter, *http.Request) { t.Error("handler ran") })
	if a := send(t, srv, request{key: "k"}); a.status != 403 || a.problem(t) != "scope-denied" || strings.Contains(a.body, "detail") {
		t.Errorf("answer %+v", a)
	}
}
