package txstore_test

import (
	"testing"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/idem/idemtest"
	"github.com/pgidem/pgidem/sealed"
	"github.com/pgidem/pgidem/txstore"
)

// sealedDoor leads to what inner leads to, encrypted.
func sealedDoor(t *testing.T, inner door) door {
	t.Helper()
	cipher, err := sealed.NewAESGCM("kit", map[string][]byte{"kit": make([]byte, 32)})
	if err != nil {
		t.Fatal(err)
	}
	return func(s *txstore.Store) idem.Store {
		store, err := sealed.New(inner(s), sealed.Config{Cipher: cipher, HashSecret: make([]byte, 32)})
		if err != nil {
			t.Error(err)
		}
		return store
	}
}

// Behaviours 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 13, 55, 59, 60.
func TestSealedConformance(t *testing.T) {
	t.Parallel()
	idemtest.Run(t, transactionalHarness(t, sealedDoor(t, transactional)))
}

// Behaviours 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 13, 59, 60.
func TestSealedLeasedConformance(t *testing.T) {
	t.Parallel()
	h, _ := kitHarness(t, sealedDoor(t, leased))
	h.Leases = &idemtest.Leases{Duration: defaultLease}
	idemtest.Run(t, h)
}
