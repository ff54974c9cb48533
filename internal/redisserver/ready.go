package redisserver

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

const (
	// readyPoll is how often a starting server is asked.
	readyPoll = 5 * time.Millisecond
	// pingTimeout bounds one question.
	pingTimeout = 2 * time.Second
)

// awaitReady returns when the server at addr answers. A server that loads its
// data listens already and refuses commands.
func awaitReady(ctx context.Context, addr string, exited <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(readyPoll)
	defer tick.Stop()
	for {
		err := ping(ctx, addr)
		if err == nil {
			return nil
		}
		select {
		case <-exited:
			return errors.New("the server exited")
		case <-ctx.Done():
			return fmt.Errorf("%w, last: %w", ctx.Err(), err)
		case <-tick.C:
		}
	}
}

func ping(ctx context.Context, addr string) error {
	answer, err := ask(ctx, addr, "PING")
	if err == nil && answer != "+PONG" {
		return fmt.Errorf("the server at %s answers %q", addr, answer)
	}
	return err
}

// ask sends an inline command and returns the first line of the answer.
func ask(ctx context.Context, addr, command string) (string, error) {
	dialer := net.Dialer{Timeout: pingTimeout}
	conn, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(pingTimeout)); err != nil {
		return "", err
	}
	if _, err := conn.Write([]byte(command + "\r\n")); err != nil {
		return "", err
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	return strings.TrimSpace(line), err
}
