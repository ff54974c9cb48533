package txstore

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgidem/pgidem/idem"
)

// resolve finds out, on other connections, what became of a COMMIT whose reply
// is missing, and says that it is unknown when the deadline comes first.
//
// Each look is the look of a Reserve, READ COMMITTED and READ WRITE: a standby,
// or a snapshot from before the COMMIT, must not answer.
func (s *Store) resolve(ctx context.Context, r *reservation, response idem.Cached, deadline time.Time) outcome {
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	var free time.Time // since when the key was seen free
	for pause := 5 * time.Millisecond; ; pause = min(2*pause, s.config.PollInterval) {
		p, err := s.probe(ctx, r.key, pgx.ReadCommitted, 0)
		if err == nil {
			if free.IsZero() && p.locked {
				free = time.Now()
			}
			out, known := r.verdict(p, response, time.Since(free))
			if known && out.err == nil {
				err = s.confirm(ctx, p)
			}
			s.closeProbe(p)
			if known && err == nil {
				return out
			}
		}
		select {
		case <-time.After(pause/2 + rand.N(pause)):
		case <-ctx.Done():
			return outcome{err: fmt.Errorf("txstore: %w", errors.Join(idem.ErrOutcomeUnknown, err))}
		}
	}
}

// confirmSQL writes a few bytes that nobody reads into the WAL, where commits wait
// for standbys.
const confirmSQL = `SELECT CASE WHEN pg_catalog.current_setting('synchronous_standby_names') <> ''
THEN pg_catalog.pg_logical_emit_message(true, 'pgidem', '') END`

// confirm waits until a record that p has found is where a commit has to be. A
// session that was terminated while its COMMIT waited for a standby, or whose
// server came back after a crash, has left a record that is visible before the
// standby has it, and a failover would lose what the client was told. A commit
// behind it in the WAL is answered only after the standby has both.
func (s *Store) confirm(ctx context.Context, p *probe) error {
	conn := p.conn.Conn()
	return roundTrip(ctx, conn, s.config.CommitTimeout, func(ctx context.Context) error {
		_, err := conn.Exec(ctx, confirmSQL)
		if err == nil || cannotConfirm(err) {
			_, err = conn.Exec(ctx, "commit") // or a rollback, behind a refusal
		}
		return err
	})
}

// relockTime is far more than a server needs from the ROLLBACK of a response's
// batch to the lock behind it.
const relockTime = 50 * time.Millisecond

// verdict reads from a look what became of r's COMMIT, if it tells. The key was
// first seen free some time ago.
func (r *reservation) verdict(p *probe, response idem.Cached, free time.Duration) (out outcome, known bool) {
	switch {
	case p.found.attemptID == r.attempt.ID():
		// Ours, even if its TTL is over by now.
		if p.found.cached != nil {
			response.StoredAt = p.found.cached.StoredAt
		}
		return outcome{cached: &response}, true
	case p.found.alive && p.found.completed:
		// One key, one record: if this one stands, ours never did.
		return outcome{err: idem.ErrSuperseded}, true
	case r.attempt.Disposition() == idem.CommitResponse && free < relockTime:
		// The batch may be between its ROLLBACK and its relock.
		return out, false
	case p.locked && !r.store.config.DisableLocks:
		// Our transaction held this lock until its end. It has ended, then, and
		// left no record.
		return outcome{err: &idem.CommitError{Retryable: true, Err: errors.New("txstore: the connection was lost before COMMIT took effect")}}, true
	}
	return out, false
}
