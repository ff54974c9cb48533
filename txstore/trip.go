package txstore

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgidem/pgidem/internal/convoy"
)

// minCarryTime is what must be left of a carrier's own time if it is to take others
// along, whose looks end with its own when that is over.
const minCarryTime = time.Second

// carry sets out with g, and takes along who waits once there is a connection.
func (s *Store) carry(ctx context.Context, g *glance) {
	g.carries[0] = g
	t := trip{own: g, rest: g.carries[:1]}
	end, failure := again, error(nil)
	defer func() {
		// Also after a panic, in a tracer or in a hook of the pool.
		s.glances.End(t.left)
		t.tell(end, failure)
		clear(g.carries[:])
	}()
	elected := time.Now()
	err := s.onConn(ctx, func(conn *pgxpool.Conn, table *table) error {
		if t.left.IsZero() {
			t.leave(ctx, s.glances)
		}
		err := roundTrip(ctx, conn.Conn(), s.config.ReserveTimeout, func(ctx context.Context) error {
			return t.bring(ctx, conn.Conn(), table)
		})
		if err == nil || t.own == nil {
			// Who has its own answer does not try again for the others.
			s.giveBack(conn)
			return nil
		}
		return err
	})
	if err == nil {
		return
	}
	if t.own != nil {
		g.err = err
	}
	switch {
	case isOver(ctx), errors.Is(err, errSpelling): // the others' keys are not meant
	case t.left.IsZero():
		// What it has not got in all the time for it, those who have waited for
		// longer will not have either.
		t.rest = append(t.rest, s.glances.Withdraw(func(g *glance) bool { return g.came.Before(elected) })...)
		end, failure = answered, err
	case !isServerRefusal(err):
		end, failure = answered, err
	}
}

// trip is a carrier's way to the server and back, or several if a connection
// breaks.
type trip struct {
	own  *glance   // the carrier's, nil once it is answered
	rest []*glance // those that are not answered, own first
	left time.Time // zero: it has not
}

// leave takes along who waits, unless the carrier may be cut off before long.
func (t *trip) leave(ctx context.Context, waiting *convoy.Convoy[*glance]) {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < minCarryTime {
		waiting.Alone()
	} else {
		t.rest = waiting.Take(t.rest)
	}
	t.left = time.Now()
}

// bring looks up the keys of all that are not answered.
func (t *trip) bring(ctx context.Context, conn *pgx.Conn, table *table) error {
	if err := prepare(ctx, conn, table.glances); err != nil {
		return err
	}
	if err := t.spell(ctx, conn); err != nil || len(t.rest) == 0 {
		return err
	}
	b := newBatch(conn)
	if len(t.rest) == 1 {
		g := t.rest[0].begin()
		err := b.only(ctx, table.lookup, b.params().text(g.key), g.scan)
		if err == nil {
			t.answered()
		}
		return err
	}
	for _, g := range t.rest {
		b.queue(table.lookup, b.params().text(g.begin().key))
	}
	r := b.send(ctx)
	var err error
	for err == nil && len(t.rest) > 0 {
		if _, err = r.next(t.rest[0].scan); err == nil {
			t.answered()
		}
	}
	// Where all are answered, what still fails is the connection's trouble.
	if closeErr := r.close(); len(t.rest) > 0 {
		err = cmp.Or(err, closeErr, errNoResult)
	}
	return err
}

// spell leaves those behind whose keys the server would take for others: they could
// find another's record. The carrier itself tries on another connection.
func (t *trip) spell(ctx context.Context, conn *pgx.Conn) error {
	if t.own != nil {
		if err := mustSpell(ctx, conn, t.own.key); err != nil {
			return err
		}
	}
	t.rest = slices.DeleteFunc(t.rest, func(g *glance) bool {
		err := spells(conn, g.key)
		if err == nil {
			return false
		}
		g.err = unavailable(err)
		g.heard <- answered
		return true
	})
	return nil
}

// answered ends the wait of the first that was not answered.
func (t *trip) answered() {
	g := t.rest[0]
	t.rest = t.rest[1:]
	if g == t.own {
		t.own = nil
	} else {
		g.heard <- answered
	}
}

// tell says how it ended to those that are not answered, without the carrier.
func (t *trip) tell(end word, err error) {
	for _, g := range t.rest {
		if g != t.own {
			g.err = err
			g.heard <- end
		}
	}
}
