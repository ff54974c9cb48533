package localproc

import (
	"os"
	"syscall"
)

// dieWithParent makes the kernel end the server when this process ends, however
// it ends.
func dieWithParent(attributes *syscall.SysProcAttr, signal syscall.Signal) {
	attributes.Pdeathsig = signal
}

// memoryMinimum is what a folder in memory must have to spare.
const memoryMinimum = 1 << 30

// memoryFolder returns a folder in memory with room enough, or else the
// ordinary one: databases are made several times as fast in memory.
func memoryFolder() string {
	const shm = "/dev/shm"
	var stat syscall.Statfs_t
	if syscall.Statfs(shm, &stat) == nil && stat.Bavail*uint64(stat.Bsize) > memoryMinimum {
		return shm
	}
	return os.TempDir()
}
