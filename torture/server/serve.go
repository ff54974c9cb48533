package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// Ready is the first line that a server says: where it listens.
type Ready struct {
	URL   string // for payments
	Admin string // for those who torture it
}

// Farewell is the last line that a server says, when it has ended in good order.
type Farewell struct {
	// Goroutines are those that are left when everything is closed.
	Goroutines int
	// Stacks are theirs.
	Stacks string
}

// Main is what a server process does: it serves until SIGTERM, then ends in good
// order and says what is left of it.
func Main() error {
	settings, err := fromEnvironment()
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	err = serve(ctx, settings)
	if err != nil {
		return fmt.Errorf("server %d: %w", settings.Number, err)
	}
	stop() // its goroutine is no leak
	return say(farewell())
}

func serve(ctx context.Context, settings Settings) error {
	stack, err := open(ctx, settings)
	if stack != nil {
		defer stack.close()
	}
	if err != nil {
		return err
	}
	sweeping, stopSweeping := context.WithCancel(ctx)
	var sweeps sync.WaitGroup
	for _, sweep := range stack.sweeps {
		sweeps.Go(func() { sweep(sweeping) })
	}
	defer sweeps.Wait()
	defer stopSweeping()
	return listen(ctx, &http.Server{Handler: stack.mux}, &http.Server{Handler: admin()})
}

func listen(ctx context.Context, payments, admin *http.Server) error {
	var urls []string
	failed := make(chan error, 2)
	for _, server := range []*http.Server{payments, admin} {
		server.ReadHeaderTimeout, server.WriteTimeout = writeTimeout, writeTimeout
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		urls = append(urls, "http://"+listener.Addr().String())
		go func() { failed <- server.Serve(listener) }()
	}
	if err := say(Ready{URL: urls[0], Admin: urls[1]}); err != nil {
		return err
	}
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	closing, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	return errors.Join(payments.Shutdown(closing), admin.Shutdown(closing))
}

func say(what any) error { return json.NewEncoder(os.Stdout).Encode(what) }
