// Package payment is the request that all measurements are made of: one row of
// business, and a response of some 120 bytes.
package payment

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"

	"github.com/jackc/pgx/v5"
)

// Table holds the business rows.
const Table = "bench_payments"

// Schema makes the business table.
const Schema = `CREATE TABLE IF NOT EXISTS ` + Table + ` (
	id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	reference  text NOT NULL,
	amount     bigint NOT NULL,
	created_at timestamptz NOT NULL DEFAULT now()
)`

const insert = "INSERT INTO " + Table + " (reference, amount) VALUES ($1, $2) RETURNING id"

// Status, Body and Header are the response, and Hash the hash of the request, as
// long as the ones of the middleware.
const (
	Status = http.StatusCreated
	Body   = `{"id":123456,"account":"acct_1","amount":1250,"currency":"usd","reference":"order-42","balance":998750,"status":"ok"}`
	Hash   = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
)

// RequestBody is what a client sends over HTTP.
const RequestBody = `{"account":"acct_1","amount":1250,"currency":"usd","reference":"order-42"}`

// Header returns the stored part of the response's header.
func Header() http.Header {
	return http.Header{"Content-Type": {"application/json"}, "Location": {"/payments/123456"}}
}

// Pay writes the business row.
func Pay(ctx context.Context, tx pgx.Tx) error {
	var id int64
	return tx.QueryRow(ctx, insert, "order-42", 1250).Scan(&id)
}

// NewKey returns an idempotency key as clients make them, a random UUID.
func NewKey() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	return UUID(b)
}

// UUID writes b as a UUID.
func UUID(b [16]byte) string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:16])
}
