// Command withservers runs a command that needs servers:
//
//	withservers -- go test ./...
//
// It finds or starts PostgreSQL, Redis and a Redis Cluster, says on standard error
// what it found, passes their addresses in the environment, hands on the command's
// exit status and the signals that it gets itself, and stops what it started.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"github.com/pgidem/pgidem/internal/pgserver"
	"github.com/pgidem/pgidem/internal/testenv"
)

// Exit statuses of our own, apart from those of the command.
const (
	statusUsage     = 2
	statusNoServer  = 125
	statusNoCommand = 127
	statusSignal    = 128 // plus the signal's number, as shells have it
)

func main() {
	durable := flag.Bool("durable", false, "keep the server's default durability and its data on disk")
	flag.Usage = usage
	flag.Parse()
	if flag.NArg() == 0 {
		usage()
		os.Exit(statusUsage)
	}
	os.Exit(run(flag.Args(), pgserver.Options{Durable: *durable}))
}

func usage() {
	fmt.Fprintln(flag.CommandLine.Output(), "usage: withservers [-durable] -- COMMAND [ARGUMENT...]")
	flag.PrintDefaults()
}

func say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "withservers: "+format+"\n", args...)
}

func run(command []string, options pgserver.Options) int {
	// From here on a signal ends the command, and then the servers in order.
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)

	begin := time.Now()
	servers, err := find(signals, options)
	defer servers.Stop(say)
	if err != nil {
		say("%v", err)
		return statusNoServer
	}
	for _, origin := range servers.Origins() {
		say("%s", origin)
	}
	say("ready after %d ms", time.Since(begin).Milliseconds())
	return runCommand(command, signals, servers.Environment()...)
}

// find gives up at a signal.
func find(signals <-chan os.Signal, options pgserver.Options) (*testenv.Servers, error) {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	found := make(chan struct{})
	defer close(found)
	go func() {
		select {
		case s := <-signals:
			cancel(fmt.Errorf("ended by signal %v", s))
		case <-found:
		}
	}()
	servers, err := testenv.All(ctx, options)
	if ctx.Err() != nil {
		return servers, errors.Join(context.Cause(ctx), err)
	}
	return servers, err
}

func runCommand(command []string, signals <-chan os.Signal, environment ...string) int {
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Env = append(os.Environ(), environment...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		say("%v", err)
		return statusNoCommand
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		select {
		case s := <-signals:
			_ = cmd.Process.Signal(s) // it may have ended this moment
		case err := <-ended:
			return status(err)
		}
	}
}

func status(err error) int {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case !errors.As(err, &exit):
		say("%v", err)
		return statusNoCommand
	case exit.ExitCode() < 0:
		if wait, ok := exit.Sys().(syscall.WaitStatus); ok {
			return statusSignal + int(wait.Signal())
		}
		return statusSignal
	}
	return exit.ExitCode()
}
