package storm

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

// process is one of those that make the storm. It says "ready", is told when to
// send, says "answered", and is asked for its outcome when all have said so: what
// that costs must not be in the way of those who still wait.
type process struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout *bufio.Reader
}

const (
	ready    = "ready\n"
	answered = "answered\n"
)

// start returns when the process is ready to go.
func start(cmd *exec.Cmd, task Task) (*process, error) {
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
	p := &process{cmd: cmd, stdin: stdin, stdout: bufio.NewReader(stdout)}
	if err := p.await(ready); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

func (p *process) await(word string) error {
	said, err := p.stdout.ReadString('\n')
	if err == nil && said != word {
		err = fmt.Errorf("it said %q", said)
	}
	if err != nil {
		return fmt.Errorf("storm: a process was to say %q: %w", word, err)
	}
	return nil
}

// send tells it when to send.
func (p *process) send(at time.Time) error { return json.NewEncoder(p.stdin).Encode(at) }

// outcome asks what it has seen.
func (p *process) outcome() (o Outcome, err error) {
	if _, err := io.WriteString(p.stdin, "\n"); err != nil {
		return o, err
	}
	text, err := p.stdout.ReadBytes('\n')
	if err != nil {
		return o, fmt.Errorf("storm: a process has no outcome: %w", err)
	}
	return o, json.Unmarshal(text, &o)
}

func (p *process) close() {
	_ = p.stdin.Close()
	_ = p.cmd.Wait()
}
