package limits_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/memory"
	"github.com/pgidem/pgidem/txstore"
)

// slowClient is a client whose request stays half sent.
type slowClient struct {
	net.Conn
	answer *bufio.Reader
}

const slowBody = "slow body"

func newSlowClient(t *testing.T, server *httptest.Server, tenant, key string) slowClient {
	t.Helper()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	_, err = fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: x\r\nIdempotency-Key: %s\r\nX-Tenant: %s\r\nContent-Length: %d\r\n\r\n%s",
		key, tenant, len(slowBody), slowBody[:1])
	if err != nil {
		t.Fatal(err)
	}
	return slowClient{conn, bufio.NewReader(conn)}
}

// finish sends the rest and returns the status of the answer.
func (c slowClient) finish(t *testing.T) int {
	t.Helper()
	if _, err := io.WriteString(c, slowBody[1:]); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(c.answer, nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	return response.StatusCode
}

// A client that sends its body slowly holds neither a reservation nor a
// connection of the pool: the store is asked when the body is there. What it
// holds is a place of its scope.
func TestSlowBodiesHoldNothing(t *testing.T) {
	t.Parallel()
	const clients = 50
	p := newProcess(t, "", 1, txstore.Config{})
	var scoped, asked atomic.Int64
	cfg := idem.Config{
		Store: entered{p.store, &asked},
		Scope: func(r *http.Request) (string, error) {
			scoped.Add(1)
			return tenantOf(r)
		},
		MaxInFlightPerScope: clients,
	}
	server := newServer(t, idem.RESTMiddleware(cfg)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := p.pay(r.Context(), keyOf(r)); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.WriteHeader(http.StatusCreated)
	})))
	var slow []slowClient
	for i := range clients {
		slow = append(slow, newSlowClient(t, server, "slow", fmt.Sprintf("slow-%d", i)))
	}
	eventually(t, "all slow requests are in the middleware", func() bool { return scoped.Load() == clients })
	acquired := p.pool.Stat().AcquireCount()
	if n := asked.Load(); n != 0 || p.pool.Stat().AcquiredConns() != 0 {
		t.Errorf("the store was asked %d times, %d connections are held", n, p.pool.Stat().AcquiredConns())
	}
	for i := range 10 {
		if a := post(t, server, "other", fmt.Sprintf("other-%d", i)); a.status != http.StatusCreated {
			t.Errorf("another request got %+v", a)
		}
	}
	if a := post(t, server, "slow", "one-more"); a.status != http.StatusTooManyRequests {
		t.Errorf("one more of the slow scope got %+v", a)
	}
	if n := asked.Load(); n != 10 || p.pool.Stat().AcquireCount() < acquired+10 {
		t.Errorf("the store was asked %d times, want 10", n)
	}
	for _, client := range slow {
		if status := client.finish(t); status != http.StatusCreated {
			t.Errorf("a slow client got %d", status)
		}
	}
	if n := p.payments(t, "slow-"); n != clients {
		t.Errorf("%d payments of %d slow clients", n, clients)
	}
}

// endless is a body of that many bytes, made as it is read.
type endless struct {
	left int64
	sent atomic.Int64
}

func (e *endless) Read(p []byte) (int, error) {
	if e.left == 0 {
		return 0, io.EOF
	}
	n := int(min(int64(len(p)), e.left))
	e.left -= int64(n)
	e.sent.Add(int64(n))
	return n, nil
}

// counted counts what the middleware reads of a body.
type counted struct {
	io.ReadCloser
	read *atomic.Int64
}

func (c counted) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.read.Add(int64(n))
	return n, err
}

// Behaviour 38. A body of a gibibyte is refused early: one whose length was
// declared is not read at all, another just beyond the limit. Not parallel: it
// measures what is allocated.
func TestHugeBodyIsRefusedEarly(t *testing.T) {
	const huge, limit = 1 << 30, 1 << 20
	for name, c := range map[string]struct{ declared, mayRead int64 }{
		"Declared": {huge, 0},
		"Chunked":  {-1, limit + 1},
	} {
		t.Run(name, func(t *testing.T) {
			var read, runs atomic.Int64
			store := memory.New(memory.Config{})
			t.Cleanup(store.Close)
			protected := idem.RESTMiddleware(idem.Config{Store: store, MaxRequestBytes: limit})(http.HandlerFunc(
				func(http.ResponseWriter, *http.Request) { runs.Add(1) }))
			server := newServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				r.Body = counted{r.Body, &read}
				protected.ServeHTTP(w, r)
			}))
			body := &endless{left: huge}
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, body)
			if err != nil {
				t.Fatal(err)
			}
			r.ContentLength = c.declared
			r.Header.Set("Idempotency-Key", "k")
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			response, err := server.Client().Do(r)
			if err != nil {
				t.Fatal(err)
			}
			_ = response.Body.Close()
			runtime.ReadMemStats(&after)
			allocated := after.TotalAlloc - before.TotalAlloc
			t.Logf("%d bytes read, %d sent, %d allocated in all", read.Load(), body.sent.Load(), allocated)
			if response.StatusCode != http.StatusRequestEntityTooLarge || runs.Load() != 0 {
				t.Errorf("status %d, %d runs", response.StatusCode, runs.Load())
			}
			if n := read.Load(); n > c.mayRead {
				t.Errorf("%d bytes were read, want %d at most", n, c.mayRead)
			}
			if allocated > 10*limit {
				t.Errorf("%d bytes were allocated for a body over a limit of %d", allocated, limit)
			}
		})
	}
}

// Behaviour 38. What a client promises to send takes no memory before it comes,
// however much a service takes. Not parallel: it measures what is allocated.
func TestPromisedBodyTakesNoMemory(t *testing.T) {
	const huge, much = 1 << 30, 8 << 20
	store := memory.New(memory.Config{})
	t.Cleanup(store.Close)
	protected := idem.RESTMiddleware(idem.Config{Store: store, MaxRequestBytes: huge})(http.HandlerFunc(
		func(http.ResponseWriter, *http.Request) {}))
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader("no more than this"))
	r.ContentLength = huge
	r.Header.Set("Idempotency-Key", "k")
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	protected.ServeHTTP(httptest.NewRecorder(), r)
	runtime.ReadMemStats(&after)
	if allocated := after.TotalAlloc - before.TotalAlloc; allocated > much {
		t.Errorf("%d bytes were allocated for %d that did not come", allocated, huge)
	}
}
