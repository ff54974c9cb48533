package localproc

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// process is a running server. Its methods are safe for concurrent use.
type process struct {
	cmd    *exec.Cmd
	exited <-chan struct{} // closed once the process has been reaped
}

// endTimeout bounds an immediate shutdown, which takes milliseconds.
const endTimeout = 20 * time.Second

// startProcess starts cmd in the folder, as its user and with its output in the
// log. When this process ends, however it ends, the child gets last, where the
// operating system can do that.
func startProcess(cmd *exec.Cmd, f *Folder, last syscall.Signal) (*process, error) {
	log, err := f.openLog()
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	cmd.Dir, cmd.Stdout, cmd.Stderr = f.path, log, log
	cmd.SysProcAttr = f.owner.attributes()
	dieWithParent(cmd.SysProcAttr, last)

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

// kill ends the process at once and waits for it to go.
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
