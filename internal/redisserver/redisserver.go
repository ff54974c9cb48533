// Package redisserver finds or starts Redis servers for tests, the demo and
// benchmarks: single ones, and a Cluster of three masters. A server that it
// starts listens on loopback, keeps its data in a temporary folder, and ends with
// the process.
package redisserver

import (
	"context"
	"errors"
	"fmt"

	"github.com/pgidem/pgidem/internal/localproc"
)

// Options say what kind of server is wanted. They concern servers that this
// package starts; one that is found running is taken as it is.
type Options struct {
	// Durable keeps the data on disk and writes an append-only file, so that
	// records outlive a restart. Without it nothing is written.
	Durable bool
	// Settings are more server settings, each a directive and its value, as
	// "maxmemory-policy allkeys-lru".
	Settings []string
}

// Server is a Redis server that is ready for connections. Its methods are not
// safe for concurrent use, but for Addr and Origin.
type Server struct {
	addr   string
	origin string
	local  *localproc.Server // nil: not a process of ours
}

// errNotOurs: a method needs the server's process, which belongs to someone else.
var errNotOurs = errors.New("redisserver: this server was not started by this process")

// Addr is the server's address, host:port.
func (s *Server) Addr() string { return s.addr }

// Origin says in a few words what was found and where.
func (s *Server) Origin() string { return s.origin }

// Halt ends the server like a crash: it cuts every connection and writes
// nothing. What was written stays; Resume starts the server again.
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

// Stop ends the server and removes its data. It may be called twice.
func (s *Server) Stop() error {
	if s.local == nil {
		return nil
	}
	if err := s.local.Close(); err != nil {
		return fmt.Errorf("redisserver: stop: %w", err)
	}
	return nil
}
