//go:build !linux

package pgserver

import (
	"os"
	"syscall"
)

// dieWithParent can do nothing here: a killed process leaves its server behind.
func dieWithParent(*syscall.SysProcAttr) {}

func memoryFolder() string { return os.TempDir() }
