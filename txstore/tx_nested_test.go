package txstore_test

import (
	"context"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/txstore"
)

// Behaviour 9. A leased handler that never returns holds its key no longer in its own
// process than elsewhere.
func TestHungLeasedHandlerLosesItsKeyInItsProcessToo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{Config: txstore.Config{Lease: time.Second}})
	leave := make(chan struct{})
	t.Cleanup(func() { close(leave) })
	cfg := idem.DoConfig{Store: w.store.Leased(), MaxHandlerTime: 50 * time.Millisecond}
	_, err := idem.Do(t.Context(), cfg, "k", nil, func(context.Context) (int, error) { <-leave; return 1, nil })
	if !errors.Is(err, idem.ErrHandlerTimeout) {
		t.Fatal(err)
	}
	eventually(t, "the lease ends in the database", func() bool {
		return w.count(`SELECT count(*) FROM pgidem_records WHERE key='k' AND leased_until > clock_timestamp()`) == 0
	})
	cfg.WaitTimeout = 3 * time.Second
	got, err := idem.Do(t.Context(), cfg, "k", nil, func(context.Context) (int, error) { return 2, nil })
	if err != nil || got != 2 {
		t.Errorf("this process, with the lease over: %v, %v", got, err)
	}
	other := w.process(given{})
	cfg.Store = other.store.Leased()
	got, err = idem.Do(t.Context(), cfg, "k", nil, func(context.Context) (int, error) { return 2, nil })
	if err != nil || got != 2 {
		t.Errorf("another process gets %v, %v", got, err)
	}
}

// the key of the attempt reserved again through WithTx inside it.
func TestNestedThroughWithTx(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	runs := 0
	_, err := idem.Do(t.Context(), idem.DoConfig{Store: w.store}, "k", nil, func(ctx context.Context) (int, error) {
		runs++
		tx, _ := txstore.TxFromContext(ctx)
		return idem.Do(txstore.WithTx(ctx, tx), idem.DoConfig{Store: w.store}, "other", nil, func(ctx context.Context) (int, error) {
			_, fresh, err := w.store.Reserve(ctx, "k", "h", time.Hour)
			if err != nil {
				return 0, err
			}
			if fresh {
				return 1, w.store.Commit(ctx, "k", "h", idem.Cached{Status: 200})
			}
			return 1, nil
		})
	})
	if !errors.Is(err, idem.ErrNested) || runs != 1 {
		t.Errorf("%d runs, %v; want 1 run and ErrNested", runs, err)
	}
}

// a tombstone under a lease is no trouble with the store.
func TestTombstoneUnderALeaseIsNotAnUnavailableStore(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	cfg := idem.DoConfig{Store: w.store.Leased(), DefaultTTL: time.Millisecond, RememberExpired: time.Hour}
	one := func(context.Context) (int, error) { return 1, nil }
	if _, err := idem.Do(t.Context(), cfg, "k", nil, one); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the record has expired", func() bool {
		return w.count(`SELECT count(*) FROM pgidem_records WHERE expires_at <= clock_timestamp()`) == 1
	})
	_, err := idem.Do(t.Context(), cfg, "k", nil, one)
	if !errors.Is(err, idem.ErrKeyExpired) || errors.Is(err, idem.ErrStoreUnavailable) {
		t.Errorf("leased: %v (unavailable: %t)", err, errors.Is(err, idem.ErrStoreUnavailable))
	}
	cfg.Store = w.store
	_, err = idem.Do(t.Context(), cfg, "k", nil, one)
	if !errors.Is(err, idem.ErrKeyExpired) || errors.Is(err, idem.ErrStoreUnavailable) {
		t.Errorf("transactional: %v", err)
	}
}

// A MaxHandlerTime without measure is as good as none: it ends neither a transaction
// nor the renewing of a lease.
func TestGreatestMaxHandlerTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{Config: txstore.Config{Lease: 2 * time.Second}})
	one := func(context.Context) (int, error) { return 1, nil }
	for _, d := range []time.Duration{math.MaxInt64, 30 * 24 * time.Hour} {
		if _, err := idem.Do(t.Context(), idem.DoConfig{Store: w.store, MaxHandlerTime: d}, "t"+d.String(), nil, one); err != nil {
			t.Errorf("transactional %v: %v", d, err)
		}
	}
	// leased: is it renewed?
	ran := 0
	cfg := idem.DoConfig{Store: w.store.Leased(), MaxHandlerTime: math.MaxInt64}
	_, err := idem.Do(t.Context(), cfg, "l", nil, func(ctx context.Context) (int, error) {
		ran++
		<-time.After(5 * time.Second) // more than two leases
		other := w.process(given{})
		o := cfg
		o.Store, o.WaitTimeout = other.store.Leased(), -1
		_, err := idem.Do(context.Background(), o, "l", nil, func(context.Context) (int, error) { ran++; return 2, nil })
		if !errors.Is(err, idem.ErrInFlight) {
			t.Errorf("another process meanwhile: %v, want ErrInFlight", err)
		}
		return 1, ctx.Err()
	})
	if ran != 1 {
		t.Errorf("leased: ran %d times at once, first told %v", ran, err)
	}
}

// a leased Do inside a transactional attempt.
func TestLeasedInsideTransactionalKeepsItsOwnWrites(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	outer := func() error {
		_, err := idem.Do(t.Context(), idem.DoConfig{Store: w.store}, "outer", nil, func(ctx context.Context) (int, error) {
			_, err := idem.Do(ctx, idem.DoConfig{Store: w.store.Leased()}, "inner", nil, func(ctx context.Context) (int, error) {
				if _, ok := txstore.TxFromContext(ctx); ok {
					t.Error("TxFromContext under a lease: ok")
				}
				return 1, w.store.InTx(ctx, func(tx pgx.Tx) error {
					_, err := tx.Exec(ctx, insertPayment, "inner")
					return err
				})
			})
			if err != nil {
				t.Fatal(err)
			}
			return 0, errors.New("outer fails")
		})
		return err
	}
	_ = outer()
	p, r := w.payments("inner"), w.records("inner")
	if p != r {
		t.Errorf("inner: %d payments and %d records: a retry replays what was undone", p, r)
	}
}

// bad input.
func TestWithTxOfNilIsAnError(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	_, fresh, err := w.store.Reserve(txstore.WithTx(t.Context(), nil), "k", "h", time.Hour)
	if fresh || err == nil {
		t.Errorf("fresh %t, %v; want an error", fresh, err)
	}
	if _, ok := txstore.TxFromContext(txstore.WithTx(t.Context(), nil)); ok {
		t.Error("there is a transaction")
	}
}

// CopyFrom whose source reads from the same transaction: pgx says busy.
func TestCopyFromItsOwnTransactionIsBusy(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	done := make(chan error, 1)
	a := w.attempt("k").mustBeFresh()
	go func() {
		_, err := a.tx().CopyFrom(a.ctx, pgx.Identifier{"payments"}, []string{"key", "n"}, pgx.CopyFromFunc(func() ([]any, error) {
			return nil, a.exec("SELECT 1")
		}))
		done <- err
	}()
	select {
	case err := <-done:
		if err == nil {
			t.Error("a query in the middle of a COPY succeeded")
		}
	case <-time.After(5 * time.Second):
		t.Error("CopyFrom hangs on its own transaction's mutex")
	}
}
