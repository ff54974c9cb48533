package localproc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// StartTimeout bounds every start, and every step that prepares one: all take
// well under a second on an idle machine.
const StartTimeout = time.Minute

// Server is a server on a port of the loopback address: what it takes to start
// it, and the running instance. Its fields stay as they are once it has been
// started. Its methods are not safe for concurrent use.
type Server struct {
	// Folder holds the server's files; Close removes it.
	Folder *Folder
	// Prepare writes what the server on the port reads at its start. Defaults to
	// nothing.
	Prepare func(port int) error
	// Command returns what is to be run for a port.
	Command func(port int) *exec.Cmd
	// Ask returns nil once the server on the port does what it is there for.
	Ask func(ctx context.Context, port int) error
	// PortTaken is what its log says when somebody else has the port.
	PortTaken string
	// SecondPort is how far above its port the server takes another one.
	// Defaults to none.
	SecondPort int
	// Last makes the server end at once. It is sent by Halt, and when this
	// process ends, however it ends, where the operating system can do that.
	Last syscall.Signal

	port    int
	running *process // nil while halted
}

// Start starts the server on a port that is free, and returns when it is ready.
func (s *Server) Start(ctx context.Context) error {
	return onFreePort(func(port int) error {
		if port > maxPort-s.SecondPort {
			port -= s.SecondPort
		}
		s.port = port
		return s.Resume(ctx)
	})
}

// Resume starts a halted server on the same port and files.
func (s *Server) Resume(ctx context.Context) error {
	if s.running != nil {
		return errors.New("the server is running")
	}
	if s.Prepare != nil {
		if err := s.Prepare(s.port); err != nil {
			return err
		}
	}
	p, err := startProcess(s.Command(s.port), s.Folder, s.Last)
	if err != nil {
		return err
	}
	if err := p.awaitReady(ctx, StartTimeout, func(ctx context.Context) error { return s.Ask(ctx, s.port) }); err != nil {
		p.kill()
		return s.startError(err)
	}
	s.running = p
	return nil
}

func (s *Server) startError(err error) error {
	log := s.Folder.log()
	if strings.Contains(log, s.PortTaken) {
		return fmt.Errorf("%w: %d", errPortTaken, s.port)
	}
	return fmt.Errorf("server did not come up: %w\n%s", err, log)
}

// Port is the server's port.
func (s *Server) Port() int { return s.port }

// Loopback returns the address of a port, host:port.
func Loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// PID returns the process id, 0 while the server is halted.
func (s *Server) PID() int {
	if s.running == nil {
		return 0
	}
	return s.running.pid()
}

// Signal sends a signal to the process.
func (s *Server) Signal(signal os.Signal) error {
	if s.running == nil {
		return os.ErrProcessDone
	}
	return s.running.signal(signal)
}

// Halt ends the server at once. Its files stay; Resume starts it again.
func (s *Server) Halt() error {
	if s.running == nil {
		return nil
	}
	err := s.running.end(s.Last)
	s.running = nil
	return err
}

// Close ends the server and removes its folder. It may be called twice.
func (s *Server) Close() error { return errors.Join(s.Halt(), s.Folder.Remove()) }
