package txstore

import (
	"context"
	"math"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// serverGrace is how much longer than the handler may run the server lets the
// transaction idle. It only matters when nobody is left to end it.
const serverGrace = 500 * time.Millisecond

// probe is an open transaction that has looked a key up.
type probe struct {
	table   *table
	h       int32
	conn    *pgxpool.Conn
	started moment // transaction_timestamp(), where locked
	locked  bool
	unusual bool // opened quickly, in a session that has settings of its own
	found   found
}

// fresh tells whether the key is the prober's. With no lock it is somebody
// else's, and a live lease is somebody's whoever holds the lock.
func (p *probe) fresh() bool {
	return p.locked && !p.found.alive
}

// probe opens a transaction and looks key up in it, in one round trip on a warm
// connection.
func (s *Store) probe(ctx context.Context, key string, iso pgx.TxIsoLevel, maxHandlerTime time.Duration) (p *probe, err error) {
	err = s.onConn(ctx, func(conn *pgxpool.Conn, t *table) error {
		if err := mustSpell(ctx, conn.Conn(), key); err != nil {
			return err
		}
		p = &probe{table: t, h: t.hash(key), conn: conn}
		err := s.open(ctx, p, key, iso, maxHandlerTime)
		if err == nil && p.unusual {
			s.thorough.Store(true)
			s.letGoProbe(p)
			p = &probe{table: t, h: p.h, conn: conn}
			err = s.open(ctx, p, key, iso, maxHandlerTime)
		}
		if err != nil {
			s.letGoProbe(p) // the transaction may be open
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return p, nil
}

// open opens p's transaction and looks key up.
func (s *Store) open(ctx context.Context, p *probe, key string, iso pgx.TxIsoLevel, maxHandlerTime time.Duration) error {
	o := p.table.quick
	switch {
	case iso != s.config.IsoLevel:
		o = opening{beginAs(iso), p.table.thorough.open}
	case s.thorough.Load():
		o = p.table.thorough
	}
	conn := p.conn.Conn()
	return roundTrip(ctx, conn, s.config.ReserveTimeout, func(ctx context.Context) error {
		if err := prepare(ctx, conn, p.table.attempts); err != nil {
			return err
		}
		b := newBatch(conn)
		b.queue(o.begin, nil)
		b.queue(o.open, b.params().int4(p.h).text(idleLimit(maxHandlerTime)))
		// A statement of its own, after the lock: in one with it, its snapshot
		// could be older than the lock, and miss a record committed in between.
		b.queue(p.table.lookup, b.params().text(key))
		r := b.send(ctx)
		err := p.read(r)
		if closeErr := r.close(); err == nil {
			err = closeErr
		}
		return err
	})
}

// idleLimit is how long the server lets the transaction idle, in milliseconds as
// the setting takes them, which holds 31 bits. 0: as configured.
func idleLimit(maxHandlerTime time.Duration) string {
	if maxHandlerTime <= 0 {
		return "0"
	}
	return strconv.FormatInt(min(maxHandlerTime.Milliseconds()+serverGrace.Milliseconds(), math.MaxInt32), 10)
}

func (p *probe) read(r *results) error {
	if _, err := r.next(nil); err != nil {
		return err
	}
	_, err := r.next(func(r *row) error {
		opened := r.moment()
		if p.unusual = opened == beginOfTime; !p.unusual {
			p.started, p.locked = opened, opened != 0
		}
		return r.err
	})
	if err != nil {
		return err
	}
	_, err = r.next(p.found.scan)
	return err
}
