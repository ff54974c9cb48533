// Package meter counts what a run costs: processor time, memory, the log, and
// what the server keeps statistics about.
package meter

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// CPU is processor time that was spent until now.
type CPU struct {
	// User and System are this process's own.
	User, System time.Duration
	// Backends are the server's processes that serve clients, Background its
	// others.
	Backends, Background time.Duration
}

// Sub returns what was spent since an earlier reading.
func (c CPU) Sub(earlier CPU) CPU {
	return CPU{
		User: c.User - earlier.User, System: c.System - earlier.System,
		Backends: c.Backends - earlier.Backends, Background: c.Background - earlier.Background,
	}
}

// ReadCPU reads the times of this process and of the server whose first process
// is postmaster. A backend that has ended is not counted any more: keep the
// connections open between two readings.
func ReadCPU(postmaster int) (c CPU, err error) {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return c, err
	}
	c.User, c.System = time.Duration(usage.Utime.Nano()), time.Duration(usage.Stime.Nano())
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return c, err
	}
	for _, name := range stats {
		folder := filepath.Dir(name)
		if parentOf(folder) != postmaster {
			continue
		}
		if isBackend(folder) {
			c.Backends += spent(folder)
		} else {
			c.Background += spent(folder)
		}
	}
	if c.Backends == 0 && c.Background == 0 {
		return c, fmt.Errorf("meter: process %d has no children", postmaster)
	}
	return c, nil
}

// parentOf returns the parent's id, 0 if the process has ended. The name before
// it, in brackets, may hold anything.
func parentOf(folder string) int {
	b, err := os.ReadFile(filepath.Join(folder, "stat"))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(fields) < 2 {
		return 0
	}
	parent, _ := strconv.Atoi(fields[1])
	return parent
}

// isBackend tells whether a process of the server serves a client: its title
// then names the client's address.
func isBackend(folder string) bool {
	title, _ := os.ReadFile(filepath.Join(folder, "cmdline"))
	return bytes.Contains(title, []byte("127.0.0.1("))
}

// spent returns the time that a process was on a processor, to the nanosecond.
func spent(folder string) time.Duration {
	b, err := os.ReadFile(filepath.Join(folder, "schedstat"))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(b))
	if len(fields) == 0 {
		return 0
	}
	ns, _ := strconv.ParseInt(fields[0], 10, 64)
	return time.Duration(ns)
}
