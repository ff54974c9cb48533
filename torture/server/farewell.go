package server

import (
	"runtime"
	"strings"

	"go.uber.org/goleak"
)

// farewell counts the goroutines that are left, once they have had time to end.
func farewell() Farewell {
	// The process's own: the one of os/signal lives as long as it.
	err := goleak.Find(goleak.IgnoreTopFunction("os/signal.loop"), goleak.IgnoreTopFunction("os/signal.signal_recv"))
	if err == nil {
		return Farewell{}
	}
	text := err.Error()
	return Farewell{Goroutines: max(1, strings.Count(text, " in state ")), Stacks: text + stacks()}
}

func stacks() string {
	buffer := make([]byte, 1<<20)
	return string(buffer[:runtime.Stack(buffer, true)])
}
