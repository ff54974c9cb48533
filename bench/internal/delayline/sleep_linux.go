package delayline

import (
	"syscall"
	"time"
)

// sharpenTimer asks the kernel to wake this thread when it is due, and not up to
// 50 µs later to save wake-ups.
func sharpenTimer() {
	_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, syscall.PR_SET_TIMERSLACK, 1, 0)
}

// sleep blocks this thread for d.
func sleep(d time.Duration) {
	if d <= 0 {
		return
	}
	left := syscall.NsecToTimespec(d.Nanoseconds())
	for syscall.Nanosleep(&left, &left) == syscall.EINTR {
	}
}
