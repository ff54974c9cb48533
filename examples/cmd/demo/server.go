package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	serverCount  = 2
	startTimeout = 30 * time.Second
	stopTimeout  = 40 * time.Second
)

// target is where a client sends its request: a process and its address. A
// server that is started again is another process with another life.
type target struct {
	url  string
	life int
}

// server is one place in the row of servers, with one process after another.
type server struct {
	name   string
	binary string
	env    []string
	folder string // for logs

	// mu guards all below.
	mu     sync.Mutex
	to     target
	cmd    *exec.Cmd
	exited chan error // its process's end, once
}

// start starts a process and returns when it listens. life is the number of this
// process among all of the demo.
func (s *server) start(ctx context.Context, life int) error {
	log, err := os.Create(filepath.Join(s.folder, processName(life)+".log"))
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command(s.binary)
	cmd.Env = append(append(os.Environ(), s.env...), "PGAPPNAME="+processName(life))
	cmd.Stderr = log
	cmd.SysProcAttr = childAttributes()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	exited, err := launch(cmd)
	if err != nil {
		return err
	}
	url, err := readAddress(ctx, stdout)
	if err != nil {
		_ = cmd.Process.Kill()
		err = errors.Join(err, <-exited)
		return fmt.Errorf("server %s did not start: %w\n%s", s.name, err, tail(log.Name()))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cmd, s.exited, s.to = cmd, exited, target{url: url, life: life}
	return nil
}

// processName is how the ledger calls the process of a life.
func processName(life int) string { return fmt.Sprintf("payments-%d", life) }

// launch starts cmd on a thread that lives as long as the process: where the
// kernel ends a child with its parent, it is this thread that it means.
func launch(cmd *exec.Cmd) (exited chan error, err error) {
	started, exited := make(chan error), make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			exited <- cmd.Wait()
		}
	}()
	return exited, <-started
}

// readAddress waits for the line that says where the server listens.
func readAddress(ctx context.Context, stdout io.Reader) (string, error) {
	lines := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(stdout).ReadString('\n')
		lines <- strings.TrimSpace(line)
	}()
	timeout := time.NewTimer(startTimeout)
	defer timeout.Stop()
	select {
	case line := <-lines:
		url, ok := strings.CutPrefix(line, "listening on ")
		if !ok {
			return "", fmt.Errorf("it said %q", line)
		}
		return url, nil
	case <-timeout.C:
		return "", fmt.Errorf("it does not listen after %v", startTimeout)
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// target returns the process to send requests to. While it is down that is the
// one that was killed, and its clients find nobody.
func (s *server) target() target {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.to
}

// kill ends the process as a crash would: it gets no chance to do anything.
func (s *server) kill() {
	_ = s.end(func(p *os.Process) { _ = p.Kill() }) // that it did not end well is the point
}

// stop asks the process to end and waits until it has.
func (s *server) stop() error {
	return s.end(func(p *os.Process) {
		_ = p.Signal(syscall.SIGTERM)
		time.AfterFunc(stopTimeout, func() { _ = p.Kill() })
	})
}

// end is for a process that runs; there may be none.
func (s *server) end(signal func(*os.Process)) error {
	s.mu.Lock()
	cmd, exited := s.cmd, s.exited
	s.cmd = nil
	s.mu.Unlock()
	if cmd == nil {
		return nil
	}
	signal(cmd.Process)
	return <-exited
}

const tailBytes = 2000

func tail(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-tailBytes):])
}
