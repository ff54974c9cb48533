package main

import "syscall"

// childAttributes keep a child from the interrupt at the terminal, which is for
// the demo, and from outliving it.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
