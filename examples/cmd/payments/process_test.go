package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pgidem/pgidem/internal/waitfor"
)

// binary is the program, built once for all tests.
var binary string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		folder, err := os.MkdirTemp("", "pgidem-payments-test-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer func() { _ = os.RemoveAll(folder) }()
		binary = filepath.Join(folder, "payments")
		if out, err := exec.Command("go", "build", "-race", "-o", binary, ".").CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "%v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}

// bound is how long anything may take that a test waits for.
const bound = 20 * time.Second

// process is a running payments server.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	url    string
	stdout *bufio.Reader
	stderr *lockedBuffer
	exited chan struct{}
	once   sync.Once
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// start returns when the process listens.
func start(t *testing.T, env ...string) *process {
	t.Helper()
	p := launch(t, env...)
	p.listen()
	return p
}

func launch(t *testing.T, env ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(binary), stderr: &lockedBuffer{}, exited: make(chan struct{})}
	p.cmd.Env = append(append(os.Environ(), "ADDR=127.0.0.1:0"), env...)
	p.cmd.Stderr = p.stderr
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.stdout = bufio.NewReader(stdout)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	return p
}

func (p *process) listen() {
	p.t.Helper()
	line, err := p.stdout.ReadString('\n')
	url, ok := strings.CutPrefix(strings.TrimSpace(line), "listening on ")
	if !ok || !strings.HasPrefix(url, "http://127.0.0.1:") {
		p.kill()
		p.t.Fatalf("it said %q (%v)\n%s", line, err, p.stderr)
	}
	p.url = url
}

// logged waits until the log matches, and returns the match and its groups. The
// log comes through a pipe of its own, which may lag behind the answers.
func (p *process) logged(pattern string) (match []string) {
	p.t.Helper()
	expression := regexp.MustCompile(pattern)
	eventually(p.t, "the log has "+pattern, func() bool {
		match = expression.FindStringSubmatch(p.stderr.String())
		return match != nil
	})
	return match
}

// wait returns the process's exit status; -1 after a signal.
func (p *process) wait() int {
	p.t.Helper()
	p.once.Do(func() {
		go func() {
			_ = p.cmd.Wait()
			close(p.exited)
		}()
	})
	select {
	case <-p.exited:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(bound):
		p.t.Errorf("the process did not end\n%s", p.stderr)
		return -2
	}
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	p.wait()
}

func (p *process) terminate() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
}

// reply is an answer, or the error in its place.
type reply struct {
	status   int
	body     string
	replayed bool
	err      error
}

func (p *process) pay(key, sleepMS string) reply {
	const body = `{"account":"acct_1","amount":1250,"currency":"usd","reference":"order-42"}`
	request, err := http.NewRequestWithContext(p.t.Context(), http.MethodPost,
		p.url+"/payments?sleep_ms="+sleepMS, strings.NewReader(body))
	if err != nil {
		return reply{err: err}
	}
	request.Header.Set("X-Tenant", "alpha")
	request.Header.Set("Idempotency-Key", key)
	request.GetBody = nil // http.Transport is not to repeat it by itself
	return send(request)
}

func send(request *http.Request) reply {
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return reply{err: err}
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	return reply{response.StatusCode, string(text), response.Header.Get("Idempotent-Replayed") == "true", err}
}

// eventually polls until its condition holds.
var eventually = waitfor.Condition
