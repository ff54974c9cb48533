package txstore_test

import (
	"bytes"
	"context"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"runtime/pprof"
	"strings"
	"testing"
	"time"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/txstore"
)

// Behaviours 34, 52. The client vanishes, the server shuts down, the Store
// closes: the handler that has begun ends properly, its writes and its record are
// there, and no goroutine of ours is left. Over HTTP/2 the server does not wait
// for such a handler; Close does.
func TestShutdownAndCloseWhileTheClientHasVanished(t *testing.T) {
	t.Parallel()
	for name, http2 := range map[string]bool{"HTTP1": false, "HTTP2": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			label := "shutdown over " + name
			pprof.Do(t.Context(), pprof.Labels("test", label), func(context.Context) { shutDownWithoutClient(t, http2) })
			eventually(t, "no goroutine of ours is left", func() bool { return ourGoroutines(label) == "" })
		})
	}
}

func shutDownWithoutClient(t *testing.T, http2 bool) {
	w := newWorld(t, given{})
	p := w.process(given{Config: txstore.Config{CloseTimeout: patience}})
	entered, gone, leave := make(chan bool, 1), make(chan bool, 1), make(chan bool)
	protected := idem.RESTMiddleware(idem.Config{Store: p.store})(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		entered <- true
		<-leave
		if err := payIn(r.Context(), p.store, "k"); err != nil {
			t.Errorf("the handler's write: %v", err)
		}
		_, _ = io.WriteString(rw, r.Proto)
	}))
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		context.AfterFunc(r.Context(), func() { gone <- true })
		protected.ServeHTTP(rw, r)
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	if server.EnableHTTP2 = http2; http2 {
		server.StartTLS()
	} else {
		server.Start()
	}
	ctx, vanish := context.WithCancel(t.Context())
	go func() {
		r, _ := http.NewRequestWithContext(ctx, http.MethodPost, server.URL, nil)
		r.Header.Set("Idempotency-Key", "k")
		if response, err := server.Client().Do(r); err == nil {
			_ = response.Body.Close()
			t.Error("the client got an answer")
		}
	}()
	await(t, "the handler", entered)
	vanish()
	await(t, "the server's notice", gone)

	down, closed := make(chan error, 1), make(chan bool, 1)
	go func() {
		down <- server.Config.Shutdown(t.Context())
		p.store.Close()
		closed <- true
	}()
	if http2 {
		mustBeNil(t, await(t, "the shutdown, which does not wait for the handler", down))
	}
	select {
	case <-closed:
		t.Error("Close did not wait for the running handler")
	case <-time.After(100 * time.Millisecond): // not to be seen from outside
	}
	close(leave)
	if !http2 {
		mustBeNil(t, await(t, "the shutdown, which waits for the handler", down))
	}
	await(t, "Close", closed)
	if n := p.pool.Stat().AcquiredConns(); n != 0 {
		t.Errorf("%d connections are out after Close", n)
	}
	server.Close()
	server.Client().CloseIdleConnections()
	w.mustHold("k", 1, 1)
	hash := w.recordedHash("k")
	if got := w.attempt("k").withHash(hash).mustReplay(map[bool]string{false: "HTTP/1.1", true: "HTTP/2.0"}[http2]); got.Status != 200 {
		t.Errorf("replayed status %d", got.Status)
	}
	w.store.Close()
}

func mustBeNil(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Error(err)
	}
}

func (w *world) recordedHash(key string) (hash string) {
	w.Helper()
	if err := w.admin.QueryRow(w.Context(), `SELECT request_hash FROM pgidem_records WHERE key = $1`, key).Scan(&hash); err != nil {
		w.Fatal(err)
	}
	return hash
}

// ourGoroutines returns the stacks with frames of the library among goroutines
// that were started under a label, in all generations.
func ourGoroutines(label string) string {
	var b bytes.Buffer
	_ = pprof.Lookup("goroutine").WriteTo(&b, 1) // into memory
	var left []string
	for stack := range strings.SplitSeq(b.String(), "\n\n") {
		ours := strings.Contains(stack, "pgidem/pgidem/idem.") || strings.Contains(stack, "pgidem/pgidem/txstore.")
		if ours && strings.Contains(stack, label) {
			left = append(left, stack)
		}
	}
	return strings.Join(left, "\n\n")
}
