package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"
)

// apartVariable marks the process that is in a namespace of its own.
const apartVariable = "TORTURE_APART"

// inOwnNamespace runs the program once more where nobody else sees what it
// mounts, and where that is gone when the program is, however it ends. apart is
// whether it did so. Only root can, and only root can mount.
func inOwnNamespace(o options) (apart bool, err error) {
	if os.Geteuid() != 0 || os.Getenv(apartVariable) != "" {
		return false, nil
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	// The seed is drawn already.
	cmd.Args = append(cmd.Args, fmt.Sprint("-seed=", o.seed))
	cmd.Env = append(os.Environ(), apartVariable+"=yes")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGTERM}
	// The kernel takes the thread that starts a child for its parent.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		return false, nil //nolint:nilerr // then it runs here, and cannot mount
	}
	return true, waitWith(cmd)
}

// errSaid: the child has failed and said why.
var errSaid = errors.New("the child has failed")

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
				return errSaid
			}
			return nil
		case s := <-signals:
			_ = cmd.Process.Signal(s)
		}
	}
}
