package site

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os/exec"
	"runtime"
	"syscall"
)

// childAttributes keep a child from the interrupt at the terminal, which is for
// the run, and from outliving it.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// launch starts cmd on a thread that lives as long as the process: the kernel
// ends a child with the thread that has started it. first has the first line
// that it says; it is closed without one if there is none.
func launch(cmd *exec.Cmd) (first <-chan []byte, ended chan ending, err error) {
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	started, lines := make(chan error), make(chan []byte, 1)
	ended = make(chan ending, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		last := read(stdout, lines)
		err = cmd.Wait()
		if err == nil && len(last) == 0 {
			err = errors.New("it said nothing")
		}
		ended <- ending{farewell: last, err: err}
	}()
	return lines, ended, <-started
}

// read hands on the first line that a process says, and returns its last.
func read(stdout io.Reader, first chan<- []byte) (last []byte) {
	lines := bufio.NewScanner(stdout)
	lines.Buffer(nil, 8<<20) // a farewell with all stacks is one line
	for n := 0; lines.Scan(); n++ {
		last = bytes.Clone(lines.Bytes())
		if n == 0 {
			first <- last
		}
	}
	close(first)
	return last
}
