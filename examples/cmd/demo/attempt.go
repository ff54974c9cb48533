package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"time"

	"github.com/pgidem/pgidem/examples/payments"
)

// patience is how long a client waits that is in no particular mood.
const patience = 20 * time.Second

// Why a client got no answer, besides a broken connection.
var (
	errTimedOut = errors.New("client's time was over")
	errHungUp   = errors.New("client hung up")
)

// answer is a complete HTTP response to one try.
type answer struct {
	life     int // of the process that gave it
	status   int
	replayed bool
	body     string
	sentAt   time.Time
	latency  time.Duration
}

// final tells whether a client may take the answer for the last word. After a
// 409 or a 5xx it comes again, with the same key.
func (a answer) final() bool { return a.status < 500 && a.status != http.StatusConflict }

// payment returns the payment that a 201 speaks of.
func (a answer) payment() (p payments.Payment, err error) {
	err = json.Unmarshal([]byte(a.body), &p)
	return p, err
}

// client sends requests. It is safe for concurrent use.
type client struct{ http *http.Client }

func newClient() *client {
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	return &client{&http.Client{Transport: transport}}
}

// try sends an order once and waits for the answer as the mood allows.
func (c *client) try(ctx context.Context, to target, p *payment, order payments.Order, m mood) (answer, error) {
	ctx, cancel := m.bound(ctx)
	defer cancel()
	request, err := newRequest(ctx, to.url, p, order)
	if err != nil {
		return answer{}, err
	}
	a := answer{life: to.life, sentAt: time.Now()}
	response, err := c.http.Do(request)
	if err != nil {
		return a, errors.Join(err, context.Cause(ctx))
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return a, errors.Join(err, context.Cause(ctx))
	}
	a.status, a.body, a.latency = response.StatusCode, string(body), time.Since(a.sentAt)
	a.replayed = response.Header.Get("Idempotent-Replayed") == "true"
	return a, nil
}

// bound gives ctx the end that the mood wants. The time until a hang-up begins
// when the request is sent, so the server is sure to have got it.
func (m mood) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	if !m.hangUp {
		after := m.after
		if after == 0 {
			after = patience
		}
		return context.WithTimeoutCause(ctx, after, errTimedOut)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		WroteRequest: func(httptrace.WroteRequestInfo) {
			time.AfterFunc(m.after, func() { cancel(errHungUp) })
		},
	})
	return ctx, func() { cancel(nil) }
}

func newRequest(ctx context.Context, url string, p *payment, order payments.Order) (*http.Request, error) {
	body, err := json.Marshal(order)
	if err != nil {
		return nil, err
	}
	url = fmt.Sprintf("%s/payments?sleep_ms=%d", url, p.hold.Milliseconds())
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("X-Tenant", p.tenant)
	request.Header.Set("Idempotency-Key", p.key)
	// With this header and a body that it can read again, http.Transport sends a
	// request once more by itself if a reused connection breaks. That is as it
	// should be, but here every try is to be seen and counted.
	request.GetBody = nil
	return request, nil
}
