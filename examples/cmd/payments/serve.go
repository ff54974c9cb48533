package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Time-outs of the server. The longest way to an answer is that of a duplicate
// which waits for its original (30 s), has to run itself because that one gave
// up (30 s), and learns late what became of its COMMIT (10 s). WriteTimeout
// leaves room for all of it; were it shorter, pgidem would cut the wait short
// and answer 409 before it.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 15 * time.Second
	writeTimeout      = 75 * time.Second
	idleTimeout       = 2 * time.Minute
	shutdownTimeout   = 35 * time.Second
)

// serve answers requests until ctx ends, and then until those under way have
// their answers.
func serve(ctx context.Context, addr string, out io.Writer, logger *slog.Logger, handler http.Handler) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	}
	fmt.Fprintf(out, "listening on http://%s\n", listener.Addr())
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		return shutDown(server, logger)
	}
}

func shutDown(server *http.Server, logger *slog.Logger) error {
	logger.Info("shutting down: running requests are brought to their end")
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	err := server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		return errors.Join(fmt.Errorf("requests still running after %v were cut off", shutdownTimeout), server.Close())
	}
	return err
}
