package contend

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgidem/pgidem/bench/internal/payment"
	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/txstore"
)

// overHTTP serves a payment through a server on loopback. Client and server
// share the machine.
type overHTTP struct {
	name   string
	url    string
	client *http.Client
	plays  map[Workload]bool
}

func (h *overHTTP) Name() string          { return h.name }
func (h *overHTTP) Plays(w Workload) bool { return h.plays[w] }

func (h *overHTTP) Serve(ctx context.Context, r Request) (bool, error) {
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, h.url, strings.NewReader(payment.RequestBody))
	if err != nil {
		return false, err
	}
	q.Header.Set("Idempotency-Key", r.Key)
	answer, err := h.client.Do(q)
	if err != nil {
		return false, err
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return false, err
	}
	return answer.Header.Get("Idempotent-Replayed") == "", check(r.Key, answer.StatusCode, body)
}

// HTTP returns the family that serves the same payment over HTTP, with and
// without the middleware, on pool and the tables that Prepare has made.
func HTTP(pool *pgxpool.Pool) (*Family, error) {
	store, err := txstore.New(pool, txstore.Config{})
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	handler := payHandler(store)
	mux := http.NewServeMux()
	mux.Handle("/bare", handler)
	mux.Handle("/protected", idem.RESTMiddleware(idem.Config{Store: store})(handler))
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(listener) }()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 512}}
	base := "http://" + listener.Addr().String()
	return &Family{
		Contenders: []Contender{
			&overHTTP{"http-bare", base + "/bare", client, map[Workload]bool{Fresh: true}},
			&overHTTP{"http-txstore", base + "/protected", client, map[Workload]bool{Fresh: true}},
		},
		Bare: "http-bare", Distant: true,
		Reset: func(context.Context, []string) error { return nil }, // the tables are Postgres's
		Close: func() {
			client.CloseIdleConnections()
			_ = server.Close()
			store.Close()
		},
	}, nil
}

func payHandler(store *txstore.Store) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := store.InTx(r.Context(), func(tx pgx.Tx) error { return payment.Pay(r.Context(), tx) })
		if err != nil {
			http.Error(w, fmt.Sprint(err), http.StatusInternalServerError)
			return
		}
		for name, values := range payment.Header() {
			w.Header()[name] = values
		}
		w.WriteHeader(payment.Status)
		_, _ = io.WriteString(w, payment.Body)
	})
}
