package pgserver

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"time"
)

// process is a running server.
type process struct {
	cmd    *exec.Cmd
	exited <-chan struct{} // closed once the process has been reaped
}

// endTimeout bounds an immediate shutdown, which takes milliseconds.
const endTimeout = 20 * time.Second

// startProcess starts cmd with its output in the folder's log.
func startProcess(cmd *exec.Cmd, f *folder) (*process, error) {
	log, err := f.openLog()
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	cmd.Dir, cmd.Stdout, cmd.Stderr = f.path, log, log
	cmd.SysProcAttr = f.owner.attributes()
	dieWithParent(cmd.SysProcAttr)

	started, exited := make(chan error), make(chan struct{})
	go func() {
		// What the kernel takes for the parent is the thread that started the
		// child. It must live as long, so it is locked until the child is reaped.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		_ = cmd.Wait() // how it ended is in the log
		close(exited)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return &process{cmd: cmd, exited: exited}, nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

func (p *process) signal(signal os.Signal) error { return p.cmd.Process.Signal(signal) }

func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may be gone already
	<-p.exited
}

// end sends the signal and waits for the process to go; one that does not is
// killed.
func (p *process) end(signal os.Signal) error {
	if err := p.signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		// Windows knows no signals.
		p.kill()
		return nil
	}
	select {
	case <-p.exited:
		return nil
	case <-time.After(endTimeout):
		p.kill()
		return errors.New("the server did not heed its signal and was killed")
	}
}
