package idem_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime/pprof"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pgidem/pgidem/idem"
)

// protocols are the ways in which a client can vanish.
var protocols = map[string]bool{"HTTP1": false, "HTTP2": true}

// vanishing is a server whose first handler waits until its client is gone.
type vanishing struct {
	*httptest.Server
	ledger
	entered chan bool // the handler runs
	gone    chan bool // the server has seen that the client is gone
	leave   chan bool // lets the handler go on
	left    chan error
}

func newVanishing(t *testing.T, cfg idem.Config, http2 bool) *vanishing {
	v := &vanishing{
		entered: make(chan bool, 1), gone: make(chan bool, 1),
		leave: make(chan bool), left: make(chan error, 1),
	}
	protected := idem.RESTMiddleware(cfg)(http.HandlerFunc(v.handle))
	v.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		context.AfterFunc(r.Context(), func() {
			select {
			case v.gone <- true:
			default:
			}
		})
		protected.ServeHTTP(w, r)
	}))
	v.Config.ErrorLog = discardLog()
	if v.EnableHTTP2 = http2; http2 {
		v.StartTLS()
	} else {
		v.Start()
	}
	t.Cleanup(v.Server.Close)
	return v
}

func (v *vanishing) handle(w http.ResponseWriter, r *http.Request) {
	first := v.runs.Add(1) == 1
	if first {
		v.entered <- true
		select {
		case <-v.leave:
		case <-r.Context().Done():
		}
	}
	if r.Context().Err() == nil {
		v.insert(r.Context())
	}
	w.WriteHeader(201)
	io.WriteString(w, r.Proto) //nolint:errcheck // recorded
	if first {
		v.left <- r.Context().Err()
	}
}

// vanish sends a request and breaks it off while its handler runs.
func (v *vanishing) vanish(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	failed := make(chan error, 1)
	go func() {
		_, err := trySend(ctx, t, v.Server, request{key: "k", body: "b"})
		failed <- err
	}()
	receive(t, "the handler", v.entered)
	cancel()
	if err := receive(t, "the client's error", failed); err == nil {
		t.Error("the client got an answer")
	}
	receive(t, "the server's notice", v.gone)
}

// Behaviour 34.
func TestClientDisconnectsMidHandler(t *testing.T) {
	t.Parallel()
	for name, http2 := range protocols {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newVanishing(t, idem.Config{Store: transactionalStore{newMemory(t)}}, http2)
			v.vanish(t)
			close(v.leave)
			a := send(t, v.Server, request{key: "k", body: "b"})
			if a.status != 201 || !a.replayed() || v.runs.Load() != 1 || v.rows.Load() != 1 {
				t.Errorf("retry %+v, %d runs, %d rows", a, v.runs.Load(), v.rows.Load())
			}
			if err := receive(t, "the handler's end", v.left); err != nil {
				t.Errorf("the handler's context had ended: %v", err)
			}
			if want := map[bool]string{false: "HTTP/1.1", true: "HTTP/2.0"}[http2]; a.body != want {
				t.Errorf("served over %s, want %s", a.body, want)
			}
		})
	}
}

func TestCancelOnDisconnect(t *testing.T) {
	t.Parallel()
	for name, http2 := range protocols {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var seen events
			cfg := idem.Config{Store: transactionalStore{newMemory(t)}, CancelOnDisconnect: true, Observer: seen.observe}
			v := newVanishing(t, cfg, http2)
			v.vanish(t)
			if err := receive(t, "the handler's end", v.left); !errors.Is(err, context.Canceled) {
				t.Errorf("the handler's context: %v", err)
			}
			a := send(t, v.Server, request{key: "k", body: "b"})
			if a.status != 201 || a.replayed() || v.runs.Load() != 2 || v.rows.Load() != 1 {
				t.Errorf("retry %+v, %d runs, %d rows", a, v.runs.Load(), v.rows.Load())
			}
			// Which of the two is told first is open: the key is free before that.
			cancelled := func(e idem.Event) bool { return e.Outcome == "request-cancelled" && e.Runs == 1 }
			if all := seen.wait(t, 2); !slices.ContainsFunc(all, cancelled) {
				t.Errorf("events %+v", all)
			}
		})
	}
}

// Behaviour 52.
func TestShutdownWhileTheClientHasVanished(t *testing.T) {
	t.Parallel()
	for name, http2 := range protocols {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			label := "shutdown of " + name
			pprof.Do(t.Context(), pprof.Labels("test", label), func(context.Context) {
				store := newMemory(t)
				v := newVanishing(t, idem.Config{Store: store}, http2)
				v.vanish(t)
				down := make(chan error, 1)
				go func() { down <- v.Config.Shutdown(t.Context()) }()
				close(v.leave)
				if err := receive(t, "the shutdown", down); err != nil {
					t.Error(err)
				}
				if err := receive(t, "the handler's end", v.left); err != nil {
					t.Errorf("the handler's context had ended: %v", err)
				}
				v.Server.Close()
				v.Client().CloseIdleConnections()
				// Another server of the same process finds the record.
				again := serve(t, idem.Config{Store: store}, v.handle)
				if a := send(t, again, request{key: "k", body: "b"}); a.status != 201 || !a.replayed() || v.runs.Load() != 1 {
					t.Errorf("retry %+v, %d runs", a, v.runs.Load())
				}
				again.Client().CloseIdleConnections()
				again.Close()
			})
			eventually(t, "no goroutine is left", func() bool { return goroutines(label) == 0 })
		})
	}
}

// goroutines counts those that were started under a label, in all generations.
func goroutines(label string) int {
	var b bytes.Buffer
	pprof.Lookup("goroutine").WriteTo(&b, 1) //nolint:errcheck // into memory
	return strings.Count(b.String(), label)
}

func TestVanishedWaiterLeavesNothing(t *testing.T) {
	t.Parallel()
	for name, http2 := range protocols {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var seen events
			v := newVanishing(t, idem.Config{Store: newMemory(t), Observer: seen.observe}, http2)
			first := make(chan answer, 1)
			go func() { first <- send(t, v.Server, request{key: "k"}) }()
			receive(t, "the handler", v.entered)
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
			defer cancel()
			if a, err := trySend(ctx, t, v.Server, request{key: "k"}); err == nil {
				t.Errorf("the waiter got %+v", a)
			}
			if e := seen.wait(t, 1)[0]; e.Outcome != "request-cancelled" || !errors.Is(e.Err, context.Canceled) {
				t.Errorf("event %+v", e)
			}
			close(v.leave)
			if a := receive(t, "the first answer", first); a.status != 201 || v.runs.Load() != 1 {
				t.Errorf("first answer %+v", a)
			}
		})
	}
}

// Behaviour 53.
func TestWaitEndsBeforeTheServersWriteTimeout(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		http2        bool
		writeTimeout time.Duration
	}{"HTTP1": {false, 1200 * time.Millisecond}, "HTTP2": {true, 1200 * time.Millisecond}, "NoTimeAtAll": {false, 900 * time.Millisecond}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := newMemory(t)
			owner, waiter := idem.RESTMiddleware(idem.Config{Store: store}), idem.RESTMiddleware(idem.Config{Store: store})
			entered, leave := make(chan bool, 1), make(chan bool)
			holder := serveHandler(t, owner(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
				entered <- true
				<-leave
			})))
			srv := httptest.NewUnstartedServer(waiter(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
			srv.Config.WriteTimeout = c.writeTimeout
			if srv.EnableHTTP2 = c.http2; c.http2 {
				srv.StartTLS()
			} else {
				srv.Start()
			}
			t.Cleanup(srv.Close)
			done := make(chan answer, 1)
			go func() { done <- send(t, holder, request{key: "k"}) }()
			receive(t, "the handler", entered)
			if a := send(t, srv, request{key: "k"}); a.status != 409 || a.problem(t) != "in-flight" {
				t.Errorf("answer %+v", a)
			}
			// A free key is served however little time there is.
			if a := send(t, srv, request{key: "free"}); a.status != 200 {
				t.Errorf("free key: %+v", a)
			}
			close(leave)
			receive(t, "the first answer", done)
		})
	}
}

// A read deadline is about a body that was read long ago.
func TestReadDeadlineDoesNotCancelTheHandler(t *testing.T) {
	t.Parallel()
	srv := serve(t, idem.Config{CancelOnDisconnect: true}, func(w http.ResponseWriter, r *http.Request) {
		if err := http.NewResponseController(w).SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
			t.Error(err)
		}
		if _, err := io.ReadAll(r.Body); err != nil {
			t.Error(err)
		}
		select {
		case <-r.Context().Done():
			w.WriteHeader(http.StatusServiceUnavailable)
		case <-time.After(500 * time.Millisecond):
		}
	})
	if a := send(t, srv, request{key: "k", body: "{}"}); a.status != 200 {
		t.Errorf("cancelled while its client was there: %+v", a)
	}
}
