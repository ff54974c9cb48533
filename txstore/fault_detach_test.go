package txstore_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/pgidem/pgidem/internal/pgserver"
	"github.com/pgidem/pgidem/internal/pgserver/pgtest"
	"github.com/pgidem/pgidem/txstore"
)

// A synchronous standby is down, and clients keep coming: the connections whose
// COMMIT waits for it leave the pool, and are no more than it had. A Store without
// that bound would take every connection that the server has for anybody.
func TestSilentCommitsAreAsManyAsThePoolAgain(t *testing.T) {
	t.Parallel()
	const conns = 2
	server := pgtest.OwnServer(t, pgserver.Options{})
	w := newWorld(t, given{URL: pgtest.MigratedURL(t, server), Conns: conns, Config: txstore.Config{
		CommitTimeout: 200 * time.Millisecond, AcquireTimeout: 200 * time.Millisecond,
	}})
	w.exec(`CREATE TABLE payments (id serial PRIMARY KEY, key text NOT NULL, n int NOT NULL)`)
	w.attempt("warm").mustBeFresh().mustCommit("warm")
	w.standby(true)
	defer w.standby(false)
	for round := range 8 {
		var clients sync.WaitGroup
		for client := range conns {
			clients.Go(func() {
				a := w.attempt(fmt.Sprint("k", round, client))
				if _, fresh, _ := a.reserve(); fresh {
					_ = a.commit("paid")
				}
			})
		}
		clients.Wait()
	}
	n := w.count(`SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query ILIKE 'commit%'`)
	if n < 1 || n > 2*conns {
		t.Errorf("with %d connections in the pool, %d sessions wait in COMMIT", conns, n)
	}
}
