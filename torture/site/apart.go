package site

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"
)

// apartVariable marks the process that is in a namespace of its own.
const apartVariable = "TORTURE_APART"

// ErrSaid: the program that ran apart has failed and said why.
var ErrSaid = errors.New("site: the program failed")

// RunApart runs the program once more, with more arguments, where nobody else
// sees what it mounts, and where that is gone when the program is, however it
// ends. apart tells whether it did so: only root can, and only root can mount.
func RunApart(arguments ...string) (apart bool, err error) {
	if os.Geteuid() != 0 || os.Getenv(apartVariable) != "" {
		return false, nil
	}
	cmd := exec.Command("/proc/self/exe", append(os.Args[1:], arguments...)...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), apartVariable+"=yes")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGTERM}
	// The kernel takes the thread that starts a child for its parent.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		return false, nil // it runs here, then, and cannot mount
	}
	return true, waitWith(cmd)
}

// waitWith waits for the child, and hands on to it what is meant for both.
func waitWith(cmd *exec.Cmd) error {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		select {
		case err := <-ended:
			if err != nil {
				return ErrSaid
			}
			return nil
		case s := <-signals:
			_ = cmd.Process.Signal(s)
		}
	}
}
