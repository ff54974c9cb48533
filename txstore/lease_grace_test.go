package txstore_test

import (
	"testing"
	"time"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/txstore"
)

// Behaviour 9. A Commit that the server refuses time after time ends as well:
// where the handler's time has no limit, nothing else would end the lease, and
// its key would be in flight for as long as the process lives.
func TestLeaseWhoseCommitFailsForGoodEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{Config: txstore.Config{Lease: 2 * time.Second}})
	txstore.SetCommitGrace(w.store, 3*time.Second)
	w.exec(`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$`)
	w.exec(`CREATE TRIGGER refuse BEFORE UPDATE ON pgidem_records FOR EACH ROW WHEN (NEW.status IS NOT NULL) EXECUTE FUNCTION refuse()`)
	a := newAttempt(t, t.Context(), w.store.Leased(), "k", idem.AttemptConfig{}).mustBeFresh()
	failed := time.Now()
	if err := a.commit("paid"); err == nil {
		t.Fatal("Commit: no error")
	}
	w.leasedAttempt("k").mustBeFresh() // waits for the lease to end
	if waited := time.Since(failed); waited < 3*time.Second {
		t.Errorf("the lease ended after %v, while the Commit could still be repeated", waited)
	}
}
