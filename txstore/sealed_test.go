package txstore_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/sealed"
)

// secretBody is what must not be found in the database.
const secretBody = "4111-1111-1111-1111"

// mustNotShow demands that no column of the records table has text in it.
func (w *world) mustNotShow(text string) {
	w.Helper()
	hidden := w.count(`SELECT count(*) FROM pgidem_records AS r
		WHERE position(convert_to($1, 'UTF8') IN coalesce(r.header, '') || coalesce(r.body, '')) > 0
			OR position($1 IN r::text) > 0`, text)
	if hidden != 0 || w.count(`SELECT count(*) FROM pgidem_records WHERE status IS NOT NULL`) == 0 {
		w.Errorf("%d records show %q, or there is none", hidden, text)
	}
}

// Behaviour 55. Behind a store that encrypts, writes and record are still one
// transaction, for a request, for a function and in a caller's transaction; and
// the table has nothing of the response.
func TestSealedStoreStaysTransactional(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	store := sealedDoor(t, transactional)(w.store)
	t.Run("Request", func(t *testing.T) { paysSealedRequest(t, w, store) })
	t.Run("Do", func(t *testing.T) { paysSealedDo(t, w, store) })
	t.Run("PermanentError", func(t *testing.T) { keepsSealedError(t, w, store) })
	t.Run("WithTx", func(t *testing.T) { paysSealedInCallersTx(t, w, store) })
	w.mustNotShow(secretBody)
	w.mustNotShow("X-Card")
}

// paysSealedRequest sends a request and its retry.
func paysSealedRequest(t *testing.T, w *world, store idem.Store) {
	t.Helper()
	protected := idem.RESTMiddleware(idem.Config{Store: store})(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if attempt, _ := idem.AttemptFromContext(r.Context()); !attempt.Transactional() {
			t.Error("the attempt is not transactional")
		}
		if err := payIn(r.Context(), w.store, "request"); err != nil {
			t.Error(err)
		}
		rw.Header().Set("X-Card", secretBody)
		rw.WriteHeader(http.StatusCreated)
		_, _ = rw.Write([]byte(secretBody))
	}))
	for _, replayed := range []string{"", "true"} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", nil)
		r.Header.Set("Idempotency-Key", "request")
		got := httptest.NewRecorder()
		protected.ServeHTTP(got, r)
		if got.Code != 201 || got.Body.String() != secretBody || got.Header().Get("X-Card") != secretBody ||
			got.Header().Get("Idempotent-Replayed") != replayed {
			t.Errorf("answer %d %q %v", got.Code, got.Body, got.Header())
		}
	}
	w.mustHold("request", 1, 1)
}

// paysSealedDo calls a function and repeats the call.
func paysSealedDo(t *testing.T, w *world, store idem.Store) {
	t.Helper()
	for range 2 {
		got, err := idem.Do(t.Context(), idem.DoConfig{Store: store}, "do", 1, func(ctx context.Context) (string, error) {
			return secretBody, payIn(ctx, w.store, "do")
		})
		if got != secretBody || err != nil {
			t.Errorf("Do = %q, %v", got, err)
		}
	}
	w.mustHold("do", 1, 1)
}

// keepsSealedError calls a function that fails for good, twice.
func keepsSealedError(t *testing.T, w *world, store idem.Store) {
	t.Helper()
	for range 2 {
		_, err := idem.Do(t.Context(), idem.DoConfig{Store: store}, "permanent", 1, func(ctx context.Context) (string, error) {
			return "", errors.Join(idem.Permanent(errors.New(secretBody)), payIn(ctx, w.store, "permanent"))
		})
		if err == nil || !strings.Contains(err.Error(), secretBody) {
			t.Errorf("Do: %v, want the permanent error", err)
		}
	}
	w.mustHold("permanent", 0, 1)
}

// paysSealedInCallersTx reserves and commits in a transaction that is rolled back,
// and in one that is committed.
func paysSealedInCallersTx(t *testing.T, w *world, store idem.Store) {
	t.Helper()
	for i, end := range []func(pgx.Tx, context.Context) error{pgx.Tx.Rollback, pgx.Tx.Commit} {
		ctx, tx := w.begin(pgx.TxOptions{})
		if _, fresh, err := store.Reserve(ctx, "withtx", "h", time.Hour); !fresh || err != nil {
			t.Fatal(fresh, err)
		}
		if _, err := tx.Exec(ctx, insertPayment, "withtx"); err != nil {
			t.Fatal(err)
		}
		if err := store.Commit(ctx, "withtx", "h", idem.Cached{Status: 200, Body: []byte(secretBody)}); err != nil {
			t.Fatal(err)
		}
		if err := end(tx, t.Context()); err != nil {
			t.Fatal(err)
		}
		w.mustHold("withtx", i, i)
	}
	newAttempt(t, t.Context(), store, "withtx", idem.AttemptConfig{}).mustReplay(secretBody)
}

// A lease's record that says no more than that the response was too large is a
// record like any other.
func TestSealedLeaseKeepsThatAResponseWasNotKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	runs := 0
	protected := idem.RESTMiddleware(idem.Config{
		Store: sealedDoor(t, leased)(w.store), MaxResponseBytes: 3,
	})(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		runs++
		_, _ = rw.Write([]byte(secretBody))
	}))
	for _, want := range []int{200, 409} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", nil)
		r.Header.Set("Idempotency-Key", "k")
		got := httptest.NewRecorder()
		if protected.ServeHTTP(got, r); got.Code != want || want == 409 && !strings.Contains(got.Body.String(), "response-not-kept") {
			t.Errorf("answer %d %s, want %d", got.Code, got.Body, want)
		}
	}
	if runs != 1 {
		t.Errorf("the handler ran %d times", runs)
	}
	w.mustNotShow("response-not-kept")
}

// noCipher seals nothing.
type noCipher struct{}

func (noCipher) Seal(context.Context, []byte, []byte) (string, []byte, error) {
	return "", nil, errors.New("no key service")
}

func (noCipher) Open(context.Context, string, []byte, []byte) ([]byte, error) {
	return nil, errors.New("no key service")
}

// Behaviour 40. What cannot be encrypted is not committed, and key and
// connection are free again.
func TestResponseThatCannotBeSealedIsUndone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{Conns: 1})
	store, err := sealed.New(w.store, sealed.Config{Cipher: noCipher{}})
	if err != nil {
		t.Fatal(err)
	}
	protected := idem.RESTMiddleware(idem.Config{Store: store})(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if err := payIn(r.Context(), w.store, "k"); err != nil {
			t.Error(err)
		}
	}))
	for range 2 {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", nil)
		r.Header.Set("Idempotency-Key", "k")
		got := httptest.NewRecorder()
		if protected.ServeHTTP(got, r); got.Code != 503 || !strings.Contains(got.Body.String(), "commit-failed") {
			t.Errorf("answer %d %s, want 503 commit-failed", got.Code, got.Body)
		}
	}
	w.mustHold("k", 0, 0)
	w.attempt("k").mustBeFresh().mustRelease()
}

// Behaviours 13, 33. Whoever can write to the table cannot hand one tenant the
// response of another, and nothing that he does to a row runs a handler.
func TestSealedRowInAnothersPlaceRunsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	handled := 0
	protected := idem.RESTMiddleware(idem.Config{
		Store: sealedDoor(t, transactional)(w.store),
		Scope: func(r *http.Request) (string, error) { return r.Header.Get("Tenant"), nil },
	})(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		handled++
		_, _ = rw.Write([]byte("of " + r.Header.Get("Tenant")))
	}))
	ask := func(tenant string) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", nil)
		r.Header.Set("Idempotency-Key", "k")
		r.Header.Set("Tenant", tenant)
		got := httptest.NewRecorder()
		protected.ServeHTTP(got, r)
		return got
	}
	for _, tenant := range []string{"acme", "evil", "acme", "evil"} {
		if got := ask(tenant); got.Body.String() != "of "+tenant {
			t.Fatalf("answer %d %s", got.Code, got.Body)
		}
	}
	w.exec(`UPDATE pgidem_records AS r SET body = o.body, header = o.header, request_hash = o.request_hash
		FROM pgidem_records AS o WHERE o.key <> r.key`)
	for _, tenant := range []string{"acme", "evil"} {
		got := ask(tenant)
		if strings.Contains(got.Body.String(), "of ") || got.Code != 422 && !strings.Contains(got.Body.String(), "record-unreadable") {
			t.Errorf("answer %d %s, want none of another tenant's", got.Code, got.Body)
		}
	}
	w.exec(`UPDATE pgidem_records SET body = '', header = '\x00'`) // a plain record of an empty response
	if got := ask("acme"); got.Code != 500 || !strings.Contains(got.Body.String(), "record-unreadable") {
		t.Errorf("answer %d %s to a forged plain record, want 500 record-unreadable", got.Code, got.Body)
	}
	if handled != 2 {
		t.Errorf("the handler ran %d times, want once for each tenant", handled)
	}
}

// Which encryption keys are in use is seen in the table, as the documentation
// says.
func TestEncryptionKeysInUseAreSeenInTheTable(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	newAttempt(t, t.Context(), sealedDoor(t, transactional)(w.store), "k", idem.AttemptConfig{}).mustBeFresh().mustCommit("paid")
	sql := documented(t, "keys in use")
	var shown string
	var records int
	var last time.Time
	if err := w.admin.QueryRow(t.Context(), sql[0]).Scan(&shown, &records, &last); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(shown, "Pgidem-Sealed") || !strings.HasSuffix(shown, "kit") || records != 1 || last.Before(time.Now()) {
		t.Errorf("the table shows %q, %d, %v", shown, records, last)
	}
}
