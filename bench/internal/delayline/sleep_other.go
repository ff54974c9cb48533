//go:build !linux

package delayline

import "time"

func sharpenTimer() {}

func sleep(d time.Duration) { time.Sleep(d) }
