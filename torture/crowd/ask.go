package crowd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/torture/history"
	"github.com/pgidem/pgidem/torture/ledger"
	"github.com/pgidem/pgidem/torture/plan"
	"github.com/pgidem/pgidem/torture/server"
)

// patient is a client that waits for as long as a server may take.
var patient = plan.Try{Patience: 15 * time.Second}

// clientsPerOperation keeps the numbers of clients apart.
const clientsPerOperation = 100

var (
	errTimedOut = errors.New("timed out")
	errHungUp   = errors.New("hung up")
)

// ask sends one request and records what came of it.
func (c *Crowd) ask(ctx context.Context, o plan.Operation, client, number int, try plan.Try) history.Request {
	cause := errTimedOut
	if try.HangUp {
		cause = errHungUp
	}
	ctx, cancel := context.WithTimeoutCause(ctx, try.Patience, cause)
	defer cancel()
	a := history.Request{
		Client: o.Index*clientsPerOperation + client, Tenant: o.Tenant, Key: o.Key,
		Account: o.Payment.Account, Amount: o.Payment.Amount, TTL: server.RecordsOf(o).TTL, Remembered: o.Remembered, Server: number, Sent: c.config.Recorder.Now(),
	}
	c.Sent.Add(1)
	err := c.exchange(ctx, o, &a)
	a.Ended = c.config.Recorder.Now()
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		c.count(err)
		a.Failure = err.Error()
	}
	c.config.Recorder.Add(a)
	c.noteAnswer(o, a)
	return a
}

func (c *Crowd) count(err error) {
	switch {
	case errors.Is(err, errTimedOut):
		c.TimedOut.Add(1)
	case errors.Is(err, errHungUp), errors.Is(err, context.Canceled):
		c.HungUp.Add(1)
	}
}

func (c *Crowd) noteAnswer(o plan.Operation, a history.Request) {
	if isOver(a) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.answered[o.Index] = true
	}
}

func (c *Crowd) exchange(ctx context.Context, o plan.Operation, a *history.Request) error {
	body, err := json.Marshal(o.Payment)
	if err != nil {
		return err
	}
	target := c.config.URL(a.Server) + server.Path(o.Level, server.RecordsOf(o))
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(body))
	if err != nil {
		return err
	}
	// With it the transport would repeat a request whose connection breaks,
	// because it has an idempotency key: every request shall be on record.
	request.GetBody = nil
	request.Header.Set("Idempotency-Key", o.Key)
	request.Header.Set(ledger.TenantHeader, o.Tenant)
	response, err := c.http.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	a.Answered, a.Status, a.Header, a.Body = true, response.StatusCode, response.Header, text
	a.Replayed = response.Header.Get("Idempotent-Replayed") != ""
	a.Problem = problem(response.Header, text)
	return nil
}

func problem(header http.Header, body []byte) string {
	if header.Get("Content-Type") != "application/problem+json" {
		return ""
	}
	var p idem.Problem
	if err := json.Unmarshal(body, &p); err != nil {
		return "unreadable"
	}
	return strings.TrimPrefix(p.Type, idem.ProblemTypeBase)
}
