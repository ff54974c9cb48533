package delayline

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

// childVariable holds, in a Line's own process, what it forwards to and how late.
const childVariable = "PGIDEM_BENCH_DELAYLINE"

// Distant is a Line in a process of its own: what it costs is not counted as the
// client's, and a client that keeps its processors busy does not make it late.
type Distant struct {
	cmd   *exec.Cmd
	stdin io.Closer
	addr  string
}

// Start starts a Line in a process of its own, which is this program again: its
// main function calls Child first. It ends with Close, or with this process.
func Start(ctx context.Context, target string, delay time.Duration) (*Distant, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %s", childVariable, target, delay))
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
	addr, err := bufio.NewReader(stdout).ReadString('\n')
	d := &Distant{cmd: cmd, stdin: stdin, addr: strings.TrimSpace(addr)}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("delayline: the process did not come up: %w", err), d.Close())
	}
	return d, nil
}

// Addr returns the Line's host and port.
func (d *Distant) Addr() string { return d.addr }

// Close ends the process.
func (d *Distant) Close() error {
	_ = d.stdin.Close()
	return d.cmd.Wait()
}

// Child runs a Line, and returns true when it has ended, if this process was
// started to be one.
func Child() bool {
	var (
		target string
		delay  time.Duration
		text   string
	)
	if _, err := fmt.Sscan(os.Getenv(childVariable), &target, &text); err != nil {
		return false
	}
	delay, err := time.ParseDuration(text)
	if err == nil {
		err = serve(target, delay)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "delayline:", err)
		os.Exit(1)
	}
	return true
}

// serve runs a Line until standard input ends, as it does with the parent.
func serve(target string, delay time.Duration) error {
	l, err := Open(target, delay)
	if err != nil {
		return err
	}
	defer l.Close()
	fmt.Println(l.Addr())
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}
