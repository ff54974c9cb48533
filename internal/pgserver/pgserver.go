// Package pgserver finds or starts a PostgreSQL server for tests, the demo and
// benchmarks. A server that it starts listens on loopback, keeps its data in a
// temporary folder, and ends with the process.
package pgserver

import (
	"context"
	"errors"
	"fmt"
	"os"
)

// Options say what kind of server is wanted. They concern servers that this
// package starts; one that is found running is taken as it is.
type Options struct {
	// Durable keeps the server's own defaults and its data on disk, as demo and
	// benchmarks need it. Without it the data lies in memory where possible and
	// nothing is flushed: fast, and it survives all but a crash of the machine.
	Durable bool
	// Settings are more server settings, each NAME=VALUE. They win over those
	// that Durable stands for.
	Settings []string
}

// AllSettings returns every setting that the options stand for, each NAME=VALUE,
// the later ones winning over the earlier.
func (o Options) AllSettings() []string {
	// Tests run in parallel, each with a pool or two of its own.
	all := []string{"max_connections=300", "log_min_messages=warning"}
	if !o.Durable {
		// Commits stay synchronous: an immediate stop must not lose any.
		all = append(all, "fsync=off", "full_page_writes=off", "max_wal_size=1GB")
	}
	return append(all, o.Settings...)
}

// Server is a PostgreSQL server that is ready for connections. Its methods are
// not safe for concurrent use, but for URL and Origin.
type Server struct {
	url    string
	origin string
	local  *local       // nil: not a process of ours
	stop   func() error // nil: nothing to stop
}

// errNotOurs: a method needs the server's process, which belongs to someone else.
var errNotOurs = errors.New("pgserver: this server was not started by this process")

// Foreign describes a server that something else started: origin says where it
// comes from, stop (which may be nil) ends it.
func Foreign(url, origin string, stop func() error) *Server {
	return &Server{url: url, origin: origin, stop: stop}
}

func start(ctx context.Context, bin string, options Options) (*Server, error) {
	l, err := startLocal(ctx, bin, options, initialize)
	if err != nil {
		return nil, err
	}
	return ours(l, "local server"), nil
}

func ours(l *local, origin string) *Server {
	return &Server{url: l.url(), origin: origin + " from " + l.bin, local: l, stop: l.Close}
}

// URL leads to the server's database postgres, or to the one that a foreign
// server's owner has named, as a role that may create databases.
func (s *Server) URL() string { return s.url }

// Origin says in a few words what was found and where.
func (s *Server) Origin() string { return s.origin }

// PID returns the process id of the server, 0 if it is foreign or stopped.
func (s *Server) PID() int {
	if s.local == nil {
		return 0
	}
	return s.local.PID()
}

// Signal sends a signal to the server's process.
func (s *Server) Signal(signal os.Signal) error {
	if s.local == nil {
		return errNotOurs
	}
	return s.local.Signal(signal)
}

// Halt ends the server like a crash: it cuts every connection and flushes
// nothing. The data stays; Resume starts the server again.
func (s *Server) Halt() error {
	if s.local == nil {
		return errNotOurs
	}
	return s.local.Halt()
}

// Resume starts a halted server on the same port and data. It returns when the
// server takes connections again.
func (s *Server) Resume(ctx context.Context) error {
	if s.local == nil {
		return errNotOurs
	}
	return s.local.Resume(ctx)
}

// Restart is Halt and Resume.
func (s *Server) Restart(ctx context.Context) error {
	if err := s.Halt(); err != nil {
		return err
	}
	return s.Resume(ctx)
}

// Stop ends the server and removes its data. It may be called twice.
func (s *Server) Stop() error {
	if s.stop == nil {
		return nil
	}
	stop := s.stop
	s.stop = nil
	if err := stop(); err != nil {
		return fmt.Errorf("pgserver: stop: %w", err)
	}
	return nil
}
