//go:build !linux

package localproc

import (
	"os"
	"syscall"
)

// dieWithParent can do nothing here: a killed process leaves its server behind.
func dieWithParent(*syscall.SysProcAttr, syscall.Signal) {}

func memoryFolder() string { return os.TempDir() }
