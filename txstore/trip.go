package txstore

import (
	"cmp"
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

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
	err := s.onConn(ctx, g.came, func(conn *pgxpool.Conn, table *table) error {
		if t.left.IsZero() {
			t.rest, t.left = s.glances.Take(t.rest), time.Now()
		}
		err := roundTrip(ctx, conn.Conn(), s.config.ReserveTimeout, func(ctx context.Context) error {
			return t.bring(ctx, conn.Conn(), table)
		})
		if err == nil {
			s.giveBack(conn)
		}
		return err
	})
	if err == nil {
		return
	}
	if t.own != nil {
		g.err = err
	}
	if !isOver(ctx) {
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

// bring looks up the keys of all that are not answered.
func (t *trip) bring(ctx context.Context, conn *pgx.Conn, table *table) error {
	if err := prepare(ctx, conn, table.glances); err != nil {
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
