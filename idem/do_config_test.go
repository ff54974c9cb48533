package idem_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/memory"
)

// Behaviour 33.
func TestDoScopes(t *testing.T) {
	t.Parallel()
	var l ledger
	cfg := idem.DoConfig{Store: newMemory(t)}
	for _, scope := range []string{"", "acme", "ac", "mek"} {
		cfg.Scope = scope
		for _, key := range []string{"k", "mek", "acmek"} {
			if _, err := idem.Do(t.Context(), cfg, key, nil, charger(&l)); err != nil {
				t.Error(err)
			}
		}
	}
	l.mustHold(t, 12, 12)
}

// Behaviours 10, 33.
func TestDoRefusesKeysAndScopes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		scope, key string
		want       error
		outcome    idem.Outcome
	}{
		"Empty":      {"", "", idem.ErrKeyInvalid, "key-invalid"},
		"NUL":        {"", "a\x00", idem.ErrKeyInvalid, "key-invalid"},
		"NotUTF8":    {"", "a\xff", idem.ErrKeyInvalid, "key-invalid"},
		"Separator":  {"", "acme\x1fk", idem.ErrKeyInvalid, "key-invalid"},
		"Long":       {"", strings.Repeat("k", 1025), idem.ErrKeyInvalid, "key-invalid"},
		"LongScoped": {"s", strings.Repeat("k", 1023), idem.ErrKeyInvalid, "key-invalid"},
		"BadScope":   {"a\x1fb", "k", idem.ErrScopeDenied, "scope-denied"},
		"LongScope":  {strings.Repeat("s", 1024), "k", idem.ErrKeyInvalid, "key-invalid"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var l ledger
			var seen events
			store := hookedStore{Store: newMemory(t), reserve: neverReserve(t)}
			cfg := idem.DoConfig{Store: store, Scope: c.scope, Observer: seen.observe}
			if _, err := idem.Do(t.Context(), cfg, c.key, nil, charger(&l)); !errors.Is(err, c.want) {
				t.Errorf("Do = %v, want %v", err, c.want)
			}
			l.mustHold(t, 0, 0)
			if e := seen.wait(t, 1)[0]; e.Outcome != c.outcome {
				t.Errorf("event %+v", e)
			}
		})
	}
}

func TestDoConfigIsChecked(t *testing.T) {
	t.Parallel()
	store := memory.New(memory.Config{})
	for field, cfg := range map[string]idem.DoConfig{
		"Store":      {},
		"DefaultTTL": {Store: store, DefaultTTL: -1},
		"MaxRuns":    {Store: store, MaxRuns: -1},

		"RememberExpired": {Store: store, RememberExpired: -1},

		"DefaultTTL is 999ns: it must be a microsecond": {Store: store, DefaultTTL: time.Microsecond - 1},
	} {
		var l ledger
		_, err := idem.Do(t.Context(), cfg, "k", nil, charger(&l))
		if err == nil || !strings.Contains(err.Error(), "DoConfig."+field) {
			t.Errorf("%s: %v", field, err)
		}
		l.mustHold(t, 0, 0)
	}
}
