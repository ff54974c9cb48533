package redisserver

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strings"
	"time"
)

// pingTimeout bounds one question.
const pingTimeout = 2 * time.Second

// ping tells whether the server at addr answers. One that loads its data listens
// already and refuses commands.
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
