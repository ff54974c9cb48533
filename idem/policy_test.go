package idem_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"testing"

	"github.com/pgidem/pgidem/idem"
)

// discarded are the 4xx that invite the client to come back with its key.
var discarded = []int{
	401, 403, 404, 405, 406, 407, 408, 409, 411, 412, 413, 414, 415, 417,
	421, 423, 424, 425, 426, 428, 429, 431, 451,
}

func TestDefaultPolicy(t *testing.T) {
	t.Parallel()
	for status := 100; status <= 999; status++ {
		want := idem.Discard
		switch {
		case status >= 200 && status < 400:
			want = idem.CommitAll
		case status >= 400 && status < 500 && !slices.Contains(discarded, status):
			want = idem.CommitResponse
		}
		if got := idem.DefaultPolicy(status, nil); got != want {
			t.Errorf("%d: %v, want %v", status, got, want)
		}
	}
}

// Behaviours 37, 55. The store is decorated twice, by values that forward only
// the three verbs.
func TestEveryStatusInATransaction(t *testing.T) {
	t.Parallel()
	for _, status := range []int{200, 201, 204, 299, 302, 304, 400, 401, 402, 404, 409, 410, 418, 422, 429, 451, 499, 500, 503, 599} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			d := idem.DefaultPolicy(status, nil)
			store := hookedStore{Store: transactionalStore{newMemory(t)}}
			testDisposition(t, idem.Config{Store: store}, status, nil, want{
				kept: d != idem.Discard, rows: map[bool]int64{true: 1}[d == idem.CommitAll],
			})
		})
	}
}

// Behaviour 37.
func TestEveryStatusWithoutATransaction(t *testing.T) {
	t.Parallel()
	for _, status := range []int{200, 204, 302, 400, 401, 404, 409, 422, 429, 499, 500, 503} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			kept := status < 500
			rows := map[bool]int64{true: 1, false: 2}[kept]
			testDisposition(t, idem.Config{Store: newMemory(t)}, status, nil, want{kept: kept, rows: rows})
		})
	}
}

// Behaviour 37.
func TestCustomPolicyAndSetDisposition(t *testing.T) {
	t.Parallel()
	always := func(d idem.Disposition) func(int, http.Header) idem.Disposition {
		return func(int, http.Header) idem.Disposition { return d }
	}
	byHeader := func(_ int, h http.Header) idem.Disposition {
		if h.Get("X-Final") == "yes" {
			return idem.CommitAll
		}
		return idem.Discard
	}
	set := func(ds ...idem.Disposition) func(*http.Request) {
		return func(r *http.Request) {
			for _, d := range ds {
				idem.SetDisposition(r.Context(), d)
			}
		}
	}
	for name, c := range map[string]struct {
		policy func(int, http.Header) idem.Disposition
		set    func(*http.Request)
		status int
		want   want
	}{
		"PolicyDiscards201":        {always(idem.Discard), nil, 201, want{false, 0}},
		"PolicyKeeps500":           {always(idem.CommitAll), nil, 500, want{true, 1}},
		"PolicyKeepsResponse":      {always(idem.CommitResponse), nil, 200, want{true, 0}},
		"PolicySeesHeader":         {byHeader, nil, 404, want{true, 1}},
		"PolicyWithoutOpinion":     {always(0), nil, 201, want{true, 1}},
		"PolicyWithoutOpinion404":  {always(0), nil, 404, want{false, 0}},
		"PolicyOutOfRange":         {always(99), nil, 404, want{false, 0}},
		"SetDiscard":               {nil, set(idem.Discard), 201, want{false, 0}},
		"SetCommitAll":             {nil, set(idem.CommitAll), 500, want{true, 1}},
		"SetOverridesPolicy":       {always(idem.Discard), set(idem.CommitResponse), 200, want{true, 0}},
		"LastSetCounts":            {nil, set(idem.Discard, idem.CommitAll), 404, want{true, 1}},
		"SetOutOfRangeDoesNothing": {nil, set(0, 99), 201, want{true, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := idem.Config{Store: transactionalStore{newMemory(t)}, Policy: c.policy}
			testDisposition(t, cfg, c.status, c.set, c.want)
		})
	}
}

// A Policy decides and does no more, whether or not outer middlewares have set
// headers too.
func TestPolicyDoesNotChangeTheResponse(t *testing.T) {
	t.Parallel()
	for name, outer := range map[string]http.Header{"Alone": {}, "BehindOuterHeaders": {"X-Outer": {"1"}}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			policy := func(_ int, h http.Header) idem.Disposition {
				h.Set("Set-Cookie", "session=1")
				h.Set("X-Added", "1")
				h["X-Changed"][0] = "changed"
				h.Del("X-Removed")
				return idem.CommitAll
			}
			cfg := idem.Config{Store: newMemory(t), Policy: policy}
			protected := idem.RESTMiddleware(cfg)(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("X-Changed", "as it was")
				w.Header().Set("X-Removed", "still there")
			}))
			srv := serveHandler(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				maps.Copy(w.Header(), outer)
				protected.ServeHTTP(w, r)
			}))
			for i := range 2 {
				a := send(t, srv, request{key: "k"})
				if a.replayed() != (i == 1) || a.header.Get("X-Changed") != "as it was" || a.header.Get("X-Removed") != "still there" ||
					a.header.Get("X-Added") != "" || a.header.Get("Set-Cookie") != "" {
					t.Errorf("answer %d: %+v", i, a)
				}
			}
		})
	}
}

// want is what two requests with one key leave behind.
type want struct {
	kept bool
	rows int64
}

func testDisposition(t *testing.T, cfg idem.Config, status int, set func(*http.Request), want want) {
	t.Helper()
	var l ledger
	srv := serve(t, cfg, func(w http.ResponseWriter, r *http.Request) {
		l.runs.Add(1)
		l.insert(r.Context())
		if set != nil {
			set(r)
		}
		w.Header().Set("X-Final", "yes")
		w.WriteHeader(status)
	})
	srv.Client().CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	first, second := send(t, srv, request{key: "k"}), send(t, srv, request{key: "k"})
	if first.status != status || first.replayed() || first.header.Get("X-Final") != "yes" {
		t.Errorf("first answer %+v", first)
	}
	if second.status != status || second.replayed() != want.kept {
		t.Errorf("second answer %+v, want kept %v", second, want.kept)
	}
	runs := map[bool]int64{true: 1, false: 2}[want.kept]
	if l.runs.Load() != runs || l.rows.Load() != want.rows {
		t.Errorf("%d runs, %d rows; want %d, %d", l.runs.Load(), l.rows.Load(), runs, want.rows)
	}
}
