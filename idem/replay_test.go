package idem_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/pgidem/pgidem/idem"
)

// Behaviours 30, 36.
func TestReplayEqualsTheFirstAnswer(t *testing.T) {
	t.Parallel()
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	io.WriteString(z, "zipped") //nolint:errcheck // into memory
	z.Close()
	for name, handler := range map[string]http.HandlerFunc{
		"Created": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "/payments/1")
			w.Header()["X-Many"] = []string{"b", "a", "b"}
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(201)
			io.WriteString(w, `{"id":1}`) //nolint:errcheck // recorded
		},
		"ImplicitOKWithoutBody": func(http.ResponseWriter, *http.Request) {},
		"NoContent":             func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) },
		"Redirect":              func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/there", 303) },
		"Sniffed":               func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>") }, //nolint:errcheck // recorded
		"SniffingSuppressed": func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Type"] = nil
			io.WriteString(w, "<html>") //nolint:errcheck // recorded
		},
		"Binary": func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte{0, 255, 10, 13, 0}) }, //nolint:errcheck // recorded
		"Copied": func(w http.ResponseWriter, _ *http.Request) {
			io.Copy(w, strings.NewReader(strings.Repeat("long ", 20_000))) //nolint:errcheck // recorded
		},
		"Gzip": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			w.Write(zipped.Bytes()) //nolint:errcheck // recorded
		},
		"KeptClientError": func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no funds", 402) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var l ledger
			srv := serve(t, idem.Config{}, func(w http.ResponseWriter, r *http.Request) {
				l.runs.Add(1)
				handler(w, r)
			})
			srv.Client().CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
			// With an Accept-Encoding of its own the client does not unzip.
			q := request{key: "k", body: "b", header: http.Header{"Accept-Encoding": {"gzip"}}}
			first, second := send(t, srv, q), send(t, srv, q)
			if first.replayed() || !second.replayed() {
				t.Errorf("replay header: first %v, second %v", first.replayed(), second.replayed())
			}
			second.header.Del("Idempotent-Replayed")
			first.header.Del("Date")
			second.header.Del("Date")
			if !reflect.DeepEqual(first, second) {
				t.Errorf("first\n %+v, replay\n %+v", first, second)
			}
			if n := l.runs.Load(); n != 1 {
				t.Errorf("handler ran %d times", n)
			}
		})
	}
}

// Behaviour 36.
func TestReplayWithholdsWhatIsTheFirstCallersOwn(t *testing.T) {
	t.Parallel()
	srv := serve(t, idem.Config{}, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Set-Cookie", "session=secret")
		w.Header().Set("Access-Control-Allow-Origin", "https://first.example")
		w.Header().Set("X-Kept", "1")
	})
	first, second := send(t, srv, request{key: "k"}), send(t, srv, request{key: "k"})
	if first.header.Get("Set-Cookie") == "" || first.header.Get("Access-Control-Allow-Origin") == "" {
		t.Errorf("the first caller did not get its headers: %v", first.header)
	}
	if second.header.Get("Set-Cookie") != "" || second.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("replayed %v", second.header)
	}
	if second.header.Get("X-Kept") != "1" {
		t.Errorf("not replayed: %v", second.header)
	}
}

// Behaviour 36.
func TestInformationalResponsesPass(t *testing.T) {
	t.Parallel()
	srv := serve(t, idem.Config{}, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Del("Link")
		w.WriteHeader(201)
	})
	var mu sync.Mutex
	var hints []string
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(status int, h textproto.MIMEHeader) error {
			mu.Lock()
			defer mu.Unlock()
			hints = append(hints, fmt.Sprintf("%d %s", status, h.Get("Link")))
			return nil
		},
	})
	for range 2 {
		a, err := trySend(ctx, t, srv, request{key: "k"})
		if err != nil || a.status != 201 || a.header.Get("Link") != "" {
			t.Errorf("answer %+v, %v", a, err)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if want := []string{"103 </style.css>; rel=preload"}; !slices.Equal(hints, want) {
		t.Errorf("hints %q, want %q, once", hints, want)
	}
}

func TestTrailersReachTheFirstCaller(t *testing.T) {
	t.Parallel()
	srv := serve(t, idem.Config{}, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		io.WriteString(w, "body") //nolint:errcheck // recorded
		w.Header().Set("X-Sum", "4")
		w.Header().Set(http.TrailerPrefix+"X-More", "1")
	})
	for i, want := range []http.Header{{"X-Sum": {"4"}, "X-More": {"1"}}, nil} {
		resp, err := srv.Client().Do(request{key: "k"}.build(t.Context(), t, srv.URL))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || string(body) != "body" || !maps.EqualFunc(resp.Trailer, want, slices.Equal) {
			t.Errorf("answer %d: %q, trailers %v, error %v", i, body, resp.Trailer, err)
		}
	}
}

func TestDuplicatesInFlightGetTheReplay(t *testing.T) {
	t.Parallel()
	const duplicates = 20
	var l ledger
	var asked atomic.Int64
	allAsked := make(chan bool)
	store := hookedStore{Store: newMemory(t), reserve: func(context.Context) error {
		if asked.Add(1) == duplicates {
			close(allAsked)
		}
		return nil
	}}
	srv := serve(t, idem.Config{Store: store}, func(w http.ResponseWriter, r *http.Request) {
		l.runs.Add(1)
		l.insert(r.Context())
		<-allAsked
		io.WriteString(w, "paid") //nolint:errcheck // recorded
	})
	var wg sync.WaitGroup
	var replays atomic.Int64
	for range duplicates {
		wg.Go(func() {
			a, err := trySend(t.Context(), t, srv, request{key: "k", body: "b"})
			if err != nil || a.status != 200 || a.body != "paid" {
				t.Errorf("answer %+v, %v", a, err)
			}
			if a.replayed() {
				replays.Add(1)
			}
		})
	}
	wg.Wait()
	if l.runs.Load() != 1 || l.rows.Load() != 1 || replays.Load() != duplicates-1 {
		t.Errorf("%d runs, %d rows, %d replays", l.runs.Load(), l.rows.Load(), replays.Load())
	}
}
