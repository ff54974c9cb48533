// Package storm makes many processes send one request many times at once.
package storm

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

// taskVariable holds, in a process of the storm, its task.
const taskVariable = "PGIDEM_BENCH_STORM"

// The stores that a Task can name.
const (
	Transactional = "txstore"
	Leased        = "leased"
	Redis         = "redisstore"
)

// Task is what each process does.
type Task struct {
	Store    string
	Postgres string // URL
	Redis    string // address
	Key      string
	// Duplicates is how often each process sends the request, Handler how long
	// it takes to serve it.
	Duplicates int
	Handler    time.Duration
}

// Outcome is what a process has seen. Its times are those of the machine's one
// clock.
type Outcome struct {
	// Runs counts handlers that ran here; Committed is when the Commit of one
	// that did began.
	Runs      int
	Committed time.Time
	Answered  []time.Time
	// Held is the highest number of pool connections in use, by others than the
	// handler, that was seen while all waited.
	Held int
	// The live heap, in bytes: before, in the middle of the wait, and after.
	HeapBefore, HeapWaiting, HeapAfter uint64
}

// Process is one of those that make the storm.
type Process struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout *bufio.Reader
}

// Start starts a process, from a command that runs this program, whose main
// function calls Child first. It returns when the process is ready to go.
func Start(cmd *exec.Cmd, task Task) (*Process, error) {
	text, err := json.Marshal(task)
	if err != nil {
		return nil, err
	}
	cmd.Env = append(os.Environ(), taskVariable+"="+string(text))
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &Process{cmd: cmd, stdin: stdin, stdout: bufio.NewReader(stdout)}
	if _, err := p.stdout.ReadString('\n'); err != nil {
		p.Close()
		return nil, fmt.Errorf("storm: a process did not come up: %w", err)
	}
	return p, nil
}

// Go tells the process when to send.
func (p *Process) Go(at time.Time) error {
	return json.NewEncoder(p.stdin).Encode(at)
}

// Outcome awaits what the process has seen.
func (p *Process) Outcome() (o Outcome, err error) {
	err = json.NewDecoder(p.stdout).Decode(&o)
	return o, err
}

// Close ends the process.
func (p *Process) Close() {
	_ = p.stdin.Close()
	_ = p.cmd.Wait()
}

// Child does a task, and returns true when it is done, if this process was
// started for one.
func Child() bool {
	text := os.Getenv(taskVariable)
	if text == "" {
		return false
	}
	if err := runChild(text); err != nil && !errors.Is(err, io.EOF) {
		fmt.Fprintln(os.Stderr, "storm:", err)
		os.Exit(1)
	}
	return true
}

func runChild(text string) error {
	var (
		task Task
		at   time.Time
	)
	if err := json.Unmarshal([]byte(text), &task); err != nil {
		return err
	}
	s, err := open(task)
	if err != nil {
		return err
	}
	defer s.close()
	fmt.Println("ready")
	// Standard input ends with the parent.
	if err := json.NewDecoder(os.Stdin).Decode(&at); err != nil {
		return err
	}
	outcome, err := s.run(at)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(outcome)
}
