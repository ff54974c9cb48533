package txstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// sessionIdle is how long the connection is kept with nobody waiting.
	sessionIdle = 10 * time.Second
	// sessionPatience bounds each call on the connection.
	sessionPatience = 5 * time.Second
	// heartbeat is how often a silent connection is asked whether it lives.
	heartbeat = 15 * time.Second
	// registerAgain is how soon a refused registration is tried again: an owner has
	// checked that nobody waits, and holds the lock until its COMMIT is over, a
	// matter of the disk. One that takes longer waits for something else, as a
	// standby, and is not to be pestered: each refusal doubles it, up to
	// registerSlowly.
	registerAgain  = 5 * time.Millisecond
	registerSlowly = 80 * time.Millisecond
	// Reconnects follow each other after reconnectMin, doubling to reconnectMax.
	reconnectMin = 50 * time.Millisecond
	reconnectMax = 5 * time.Second
)

// errSessionDone ends a session in good order.
var errSessionDone = errors.New("txstore: nobody waits")

// session is the listener's connection with the locks that it holds. It belongs
// to the one goroutine that run has started.
type session struct {
	l    *listener
	conn *pgx.Conn
	held map[int32]bool
	// again is how soon a refused registration is tried again; 0 if none was.
	again time.Duration
}

// run keeps a session while somebody waits.
func (l *listener) run(ended chan struct{}) {
	defer close(ended)
	pause := reconnectMin
	for {
		began := time.Now()
		err := l.session()
		l.disconnected()
		if !errors.Is(err, errSessionDone) {
			l.store.config.OnError(fmt.Errorf("txstore: listening: %w", err))
		}
		if l.retire() {
			return
		}
		if time.Since(began) > reconnectMax {
			pause = reconnectMin
		}
		l.rest(pause)
		pause = min(2*pause, reconnectMax)
	}
}

// retire ends the goroutine, in one step with the look that finds nobody
// waiting: who registers later starts another.
func (l *listener) retire() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.useless() || len(l.wanted) == 0 {
		l.ended = nil
		return true
	}
	return false
}

// rest waits between two sessions, or until the Store is closed.
func (l *listener) rest(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-l.store.running.Closed():
	}
}

// session connects, and listens until the connection fails or, which is
// errSessionDone, nobody waits.
func (l *listener) session() error {
	ctx, cancel := context.WithTimeout(context.Background(), sessionPatience)
	conn, err := l.connect(ctx)
	cancel()
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = conn.Close(ctx)
	}()
	s := &session{l: l, conn: conn, held: make(map[int32]bool)}
	for {
		if err := s.step(); err != nil {
			return err
		}
	}
}

// step brings the locks to what is wanted and then waits for a notification or
// a change.
func (s *session) step() error {
	lock, unlock, err := s.difference()
	if err != nil {
		return err
	}
	if err := s.unlock(unlock); err != nil {
		return err
	}
	refused, err := s.lock(lock)
	if err != nil {
		return err
	}
	if !refused {
		s.again = 0
	} else {
		s.again = max(registerAgain, min(2*s.again, registerSlowly))
	}
	patience := heartbeat
	switch {
	case refused:
		patience = s.again
	case len(s.held) == 0:
		patience = sessionIdle
	}
	return s.wait(patience, refused)
}

// difference returns what is wanted and not held, and the reverse.
func (s *session) difference() (lock, unlock []int32, err error) {
	s.l.mu.Lock()
	defer s.l.mu.Unlock()
	if s.l.useless() {
		return nil, nil, errSessionDone
	}
	s.l.changed = false
	for h, e := range s.l.wanted {
		switch {
		case !s.held[h]:
			lock = append(lock, h)
		case !e.registered: // a new entry for a lock that was not yet given up
			e.registered = true
			s.l.signalAll(e, false)
		}
	}
	for h := range s.held {
		if s.l.wanted[h] == nil {
			unlock = append(unlock, h)
		}
	}
	return lock, unlock, nil
}

// lock takes the shared wait locks of hs, session-level: they last until they
// are given up or the connection ends. It tells whether one was refused.
func (s *session) lock(hs []int32) (refused bool, err error) {
	if len(hs) == 0 {
		return false, nil
	}
	got, err := s.call("SELECT h, pg_catalog.pg_try_advisory_lock_shared($1::int4, h) FROM pg_catalog.unnest($2::int4[]) AS h", hs)
	for _, h := range got {
		s.held[h] = true
		s.l.registered(h)
	}
	return len(got) < len(hs), err
}

func (s *session) unlock(hs []int32) error {
	if len(hs) == 0 {
		return nil
	}
	for _, h := range hs {
		delete(s.held, h)
	}
	_, err := s.call("SELECT h, pg_catalog.pg_advisory_unlock_shared($1::int4, h) FROM pg_catalog.unnest($2::int4[]) AS h", hs)
	return err
}

// call returns the numbers for which sql says true.
func (s *session) call(sql string, hs []int32) (yes []int32, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), sessionPatience)
	defer cancel()
	rows, err := s.conn.Query(ctx, sql, pgx.QueryExecModeExec, int32(waitClass), hs)
	if err != nil {
		return nil, err
	}
	var (
		h  int32
		ok bool
	)
	_, err = pgx.ForEachRow(rows, []any{&h, &ok}, func() error {
		if ok {
			yes = append(yes, h)
		}
		return nil
	})
	return yes, err
}

// wait returns when something is to be done: after a notification, when what is
// wanted has changed, or after patience. A silent connection with waiters on it
// is asked then whether it still lives; one without waiters is at its end.
func (s *session) wait(patience time.Duration, again bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if !s.l.arm(cancel) {
		return nil
	}
	defer s.l.disarm()
	n, err := s.conn.WaitForNotification(ctx)
	switch {
	case err == nil:
		if h, err := strconv.ParseInt(n.Payload, 10, 32); err == nil && n.Channel == wakeChannel {
			s.l.notified(int32(h))
		}
		return nil
	case ctx.Err() == nil || s.conn.IsClosed():
		return err
	case again || errors.Is(ctx.Err(), context.Canceled):
		return nil
	case len(s.held) == 0:
		return errSessionDone
	}
	return s.ping()
}

func (s *session) ping() error {
	ctx, cancel := context.WithTimeout(context.Background(), sessionPatience)
	defer cancel()
	return s.conn.Ping(ctx)
}

// arm lets a change interrupt the wait that is about to begin; false if one has
// come already.
func (l *listener) arm(interrupt context.CancelFunc) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.changed {
		return false
	}
	l.interrupt = interrupt
	return true
}

func (l *listener) disarm() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.interrupt = nil
}
