package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgidem/pgidem/idem"
)

// contender does one payment, in its own way, each time it is called.
type contender struct {
	name string
	pay  func(context.Context) error
}

const (
	bare  = "bare transaction"
	floor = "floor: with a record"
)

const insertPayment = "INSERT INTO bench_payments (reference, amount) VALUES ($1, $2) RETURNING id"

// insertRecord writes what pgidem's record costs at the least: the same columns,
// no guard.
const insertRecord = `INSERT INTO pgidem_records
	(attempt_id, stored_at, expires_at, status, format, key, request_hash, header, body)
VALUES
	($1::text::uuid, clock_timestamp(), clock_timestamp() + interval '24 hours', 201, 1, $2, $3, $4, $5)`

var (
	responseBody   = []byte(`{"id":123456,"account":"acct_1","amount":1250,"currency":"usd","reference":"order-42","balance":998750,"status":"ok"}`)
	responseHeader = http.Header{"Content-Type": {"application/json"}, "Location": {"/payments/123456"}}
	requestHash    = "v1:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
)

// contenders returns all of them, the bare transaction first.
func (g *ground) contenders() ([]contender, func(), error) {
	web, err := g.serve()
	if err != nil {
		return nil, nil, err
	}
	return []contender{
		{bare, g.payBare},
		{floor, g.payWithRecord},
		{"pgidem", g.payProtected},
		{"bare behind HTTP", web.pay("/bare")},
		{"pgidem behind HTTP", web.pay("/protected")},
	}, web.close, nil
}

func (g *ground) payBare(ctx context.Context) error {
	return pgx.BeginFunc(ctx, g.pool, func(tx pgx.Tx) error { return pay(ctx, tx) })
}

func pay(ctx context.Context, tx pgx.Tx) error {
	var id int64
	return tx.QueryRow(ctx, insertPayment, "order-42", 1250).Scan(&id)
}

// payWithRecord sends the record and the COMMIT together: three round trips,
// like the bare transaction.
func (g *ground) payWithRecord(ctx context.Context) error {
	conn, err := g.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	tx, err := conn.Begin(ctx)
	if err != nil {
		return err
	}
	if err := pay(ctx, tx); err != nil {
		return err
	}
	var b pgx.Batch
	b.Queue(insertRecord, newUUID(), newKey(), requestHash, responseBody[:40], responseBody)
	b.Queue("COMMIT")
	return conn.SendBatch(ctx, &b).Close()
}

func (g *ground) payProtected(ctx context.Context) error {
	ctx, _ = idem.WithAttempt(ctx, idem.AttemptConfig{MaxHandlerTime: 30 * time.Second})
	key := newKey()
	_, fresh, err := g.store.Reserve(ctx, key, requestHash, 24*time.Hour)
	if err != nil || !fresh {
		return fmt.Errorf("fresh %t, %w", fresh, err)
	}
	if err := g.store.InTx(ctx, func(tx pgx.Tx) error { return pay(ctx, tx) }); err != nil {
		return err
	}
	return g.store.Commit(ctx, key, requestHash, idem.Cached{Status: http.StatusCreated, Header: responseHeader, Body: responseBody})
}

func newKey() string { return newUUID() }

func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:16])
}

// web serves the same payment over loopback, with and without the middleware.
type web struct {
	server *http.Server
	client *http.Client
	base   string
}

func (g *ground) serve() (*web, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := g.store.InTx(r.Context(), func(tx pgx.Tx) error { return pay(r.Context(), tx) })
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Location", "/payments/123456")
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write(responseBody)
	})
	mux.Handle("/bare", handler)
	mux.Handle("/protected", idem.RESTMiddleware(idem.Config{Store: g.store})(handler))
	w := &web{
		server: &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second},
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256}},
		base:   "http://" + l.Addr().String(),
	}
	go func() { _ = w.server.Serve(l) }()
	return w, nil
}

var requestBody = []byte(`{"account":"acct_1","amount":1250,"currency":"usd","reference":"order-42"}`)

func (w *web) pay(path string) func(context.Context) error {
	return func(ctx context.Context) error {
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.base+path, bytes.NewReader(requestBody))
		if err != nil {
			return err
		}
		r.Header.Set("Idempotency-Key", newKey())
		answer, err := w.client.Do(r)
		if err != nil {
			return err
		}
		defer func() { _ = answer.Body.Close() }()
		_, err = io.Copy(io.Discard, answer.Body)
		if answer.StatusCode != http.StatusCreated {
			return fmt.Errorf("%s answered %s", path, answer.Status)
		}
		return err
	}
}

func (w *web) close() {
	w.client.CloseIdleConnections()
	_ = w.server.Close()
}
