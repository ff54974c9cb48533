package payments

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgidem/pgidem/idem"
)

// Config is what the API is made of. Every field is required.
type Config struct {
	// Pool is what reads go through.
	Pool *pgxpool.Pool
	// Transactor is what payments are written through.
	Transactor Transactor
	// Store keeps the idempotency records.
	Store idem.Store
	// Outcomes counts how requests with a key ended.
	Outcomes *Outcomes
	// Logger is told what no client is told.
	Logger *slog.Logger
}

// NewHandler returns the whole API.
//
// The order of the layers is the point: authentication stands outside of the
// idempotency middleware, so that nobody is shown another tenant's recorded
// response, and the middleware stands directly around the routes, so that all
// they do is done once.
func NewHandler(config Config) http.Handler {
	a := &api{pool: config.Pool, transactor: config.Transactor, logger: config.Logger}
	idempotent := idem.RESTMiddleware(idem.Config{
		Store:    config.Store,
		Scope:    tenantScope,
		Observer: config.Outcomes.Observe,
		// A service whose clients all send keys also sets Required. It is left
		// out here, so that a request without a key can be tried too.
	})
	outer := http.NewServeMux()
	outer.HandleFunc("GET /healthz", a.health)
	outer.Handle("GET /debug/outcomes", config.Outcomes)
	outer.Handle("/", authenticate(idempotent(a.routes())))
	return outer
}

type api struct {
	pool       *pgxpool.Pool
	transactor Transactor
	logger     *slog.Logger
}

func (a *api) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /payments", a.createPayment)
	mux.HandleFunc("GET /payments", a.listPayments)
	mux.HandleFunc("GET /payments/{id}", a.getPayment)
	mux.HandleFunc("GET /accounts/{id}", a.getAccount)
	return mux
}

// createPayment is an ordinary handler. Nothing in it knows of keys, retries or
// duplicates; that it uses the transactor's transaction is all it has to do.
func (a *api) createPayment(w http.ResponseWriter, r *http.Request) {
	order, err := decodeOrder(w, r)
	if err != nil {
		a.refuse(w, r, err)
		return
	}
	hold, err := holdTime(r)
	if err != nil {
		a.refuse(w, r, err)
		return
	}
	payment, err := a.pay(r.Context(), order)
	if err == nil {
		err = pause(r.Context(), hold)
	}
	if err != nil {
		a.refuse(w, r, err)
		return
	}
	w.Header().Set("Location", "/payments/"+payment.ID)
	writeJSON(w, http.StatusCreated, payment)
}

func (a *api) pay(ctx context.Context, order Order) (payment Payment, err error) {
	err = a.transactor.InTx(ctx, func(tx pgx.Tx) error {
		payment, err = pay(ctx, tx, order)
		return err
	})
	return payment, err
}

func (a *api) getPayment(w http.ResponseWriter, r *http.Request) {
	payment, err := paymentByID(r.Context(), a.pool, r.PathValue("id"))
	a.answer(w, r, payment, err)
}

// listPayments does not filter by tenant: in this example tenants share the
// ledger as they share its accounts, and only their keys are kept apart.
func (a *api) listPayments(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	reference := query.Get("reference")
	if !query.Has("reference") || !storable(reference) {
		a.refuse(w, r, badRequest("Ask for the payments of one reference: /payments?reference=order-42"))
		return
	}
	payments, err := paymentsByReference(r.Context(), a.pool, reference)
	a.answer(w, r, payments, err)
}

func (a *api) getAccount(w http.ResponseWriter, r *http.Request) {
	account, err := accountByID(r.Context(), a.pool, r.PathValue("id"))
	a.answer(w, r, account, err)
}

func (a *api) health(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	err := a.pool.Ping(ctx)
	if err != nil {
		a.logger.ErrorContext(ctx, "database is unreachable", "err", err)
		err = problemUnhealthy
	}
	a.answer(w, r, map[string]string{"status": "ok"}, err)
}

func (a *api) answer(w http.ResponseWriter, r *http.Request, value any, err error) {
	if err != nil {
		a.refuse(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, value)
}
