package site

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/pgidem/pgidem/torture/netfault"
	"github.com/pgidem/pgidem/torture/server"
)

// Server is one server of the site: one process after another, behind the same
// proxies. Its methods are safe for concurrent use, though they may disturb each
// other: who kills a server while another starts it gets an error.
type Server struct {
	Number int
	// ToPostgres and ToRedis are the proxies through which it works; ToRedis is
	// nil unless the mode has Redis.
	ToPostgres *netfault.Proxy
	ToRedis    *netfault.Proxy

	binary string
	env    string
	folder string

	// mu guards what follows; it is never held while something is waited for.
	mu    sync.Mutex
	life  int
	ready server.Ready
	cmd   *exec.Cmd // nil while it is down
	// ended has what the process said last, once it has ended.
	ended chan ending
}

type ending struct {
	farewell []byte
	err      error
}

const (
	startTimeout = 30 * time.Second
	stopTimeout  = 60 * time.Second
)

func (s *Site) newServer(number int, c Config) (*Server, error) {
	settings := server.Settings{Number: number, Mode: c.Mode, Broken: c.Broken}
	v := &Server{Number: number, binary: c.Binary, folder: s.folder.Path()}
	address, err := url.Parse(s.Postgres.URL())
	if err != nil {
		return nil, err
	}
	if v.ToPostgres, err = netfault.Listen(address.Host); err != nil {
		return nil, err
	}
	settings.DatabaseURL = s.urlFor(v.ToPostgres.Addr(), role)
	if s.Redis != nil {
		if v.ToRedis, err = netfault.Listen(s.Redis.Addr()); err != nil {
			v.ToPostgres.Close()
			return nil, err
		}
		settings.RedisURL = "redis://" + v.ToRedis.Addr()
	}
	v.env = settings.Environment()
	return v, nil
}

// URL is where the server's process takes payments, or took them, if it is down.
func (v *Server) URL() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.ready.URL
}

// Start starts a process and returns when it takes payments.
func (v *Server) Start(ctx context.Context) error {
	v.mu.Lock()
	v.life++
	name := filepath.Join(v.folder, fmt.Sprintf("server-%d-%d.log", v.Number, v.life))
	v.mu.Unlock()
	log, err := os.Create(name)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command(v.binary)
	cmd.Env, cmd.Stderr = append(os.Environ(), v.env), log
	cmd.SysProcAttr = childAttributes()
	lines, ended, err := launch(cmd)
	if err != nil {
		return err
	}
	ready, err := awaitReady(ctx, lines)
	if err != nil {
		_ = cmd.Process.Kill()
		return errors.Join(err, (<-ended).err, said(name))
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.cmd, v.ended, v.ready = cmd, ended, ready
	return nil
}

func said(log string) error {
	text, err := os.ReadFile(log)
	if err != nil {
		return err
	}
	return errors.New(string(text))
}

func awaitReady(ctx context.Context, first <-chan []byte) (ready server.Ready, err error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	select {
	case line := <-first:
		return ready, json.Unmarshal(line, &ready)
	case <-ctx.Done():
		return ready, ctx.Err()
	}
}

func (v *Server) signal(signal syscall.Signal) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.cmd == nil {
		return fmt.Errorf("server %d is down", v.Number)
	}
	return v.cmd.Process.Signal(signal)
}

// Freeze stops the process where it stands; Thaw lets it go on, as if nothing
// had been.
func (v *Server) Freeze() error { return v.signal(syscall.SIGSTOP) }

// Thaw ends a Freeze.
func (v *Server) Thaw() error { return v.signal(syscall.SIGCONT) }

// Kill ends the process as a crash would: it gets no chance to do anything.
func (v *Server) Kill() error {
	err := v.signal(syscall.SIGKILL)
	if err == nil {
		<-v.down()
	}
	return err
}

// down notes that the process is ending, and says when it has.
func (v *Server) down() <-chan ending {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.cmd = nil
	return v.ended
}

// Stop ends the process in good order and returns what it says of what is left.
func (v *Server) Stop() (server.Farewell, error) {
	var last server.Farewell
	if err := v.signal(syscall.SIGTERM); err != nil {
		return last, err
	}
	patience := time.AfterFunc(stopTimeout, func() { _ = v.signal(syscall.SIGQUIT) }) // it then says where it hangs
	defer patience.Stop()
	v.mu.Lock()
	ended := v.ended
	v.mu.Unlock()
	end := <-ended
	v.mu.Lock()
	v.cmd = nil
	v.mu.Unlock()
	if end.err != nil {
		return last, fmt.Errorf("server %d did not end well: %w", v.Number, end.err)
	}
	return last, json.Unmarshal(end.farewell, &last)
}

// Links are the proxies that the server works through.
func (v *Server) Links() []*netfault.Proxy {
	if v.ToRedis == nil {
		return []*netfault.Proxy{v.ToPostgres}
	}
	return []*netfault.Proxy{v.ToPostgres, v.ToRedis}
}

func (v *Server) close() {
	_ = v.Kill() // it may be down
	for _, link := range v.Links() {
		link.Close()
	}
}
