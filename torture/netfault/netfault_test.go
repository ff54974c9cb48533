package netfault_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/pgidem/pgidem/torture/netfault"
)

// echo starts a server that sends everything back, and a proxy to it.
func echo(t *testing.T) *netfault.Proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(conn, conn)
				_ = conn.Close()
			}()
		}
	}()
	p, err := netfault.Listen(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func dial(t *testing.T, p *netfault.Proxy) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// say sends text and returns what comes back, and how long that took.
func say(t *testing.T, conn net.Conn, text string, patience time.Duration) (string, time.Duration, error) {
	t.Helper()
	began := time.Now()
	if _, err := conn.Write([]byte(text)); err != nil {
		return "", 0, err
	}
	return hear(conn, len(text), patience, began)
}

func hear(conn net.Conn, n int, patience time.Duration, began time.Time) (string, time.Duration, error) {
	_ = conn.SetReadDeadline(began.Add(patience))
	back := make([]byte, n)
	n, err := io.ReadFull(conn, back)
	return string(back[:n]), time.Since(began), err
}

func mustEcho(t *testing.T, conn net.Conn) {
	t.Helper()
	if got, _, err := say(t, conn, "hello", 10*time.Second); got != "hello" || err != nil {
		t.Fatalf("echo %q, %v", got, err)
	}
}

func TestCutEndsOpenConnections(t *testing.T) {
	t.Parallel()
	for _, reset := range []bool{false, true} {
		p := echo(t)
		conn := dial(t, p)
		mustEcho(t, conn)
		p.Cut(reset)
		got, _, err := hear(conn, 1, 10*time.Second, time.Now())
		if got != "" || err == nil || errors.Is(err, io.EOF) == reset {
			t.Errorf("reset %v: read %q, %v", reset, got, err)
		}
		mustEcho(t, dial(t, p))
	}
}

func TestCutAfterSomeBytes(t *testing.T) {
	t.Parallel()
	for _, way := range []netfault.Direction{netfault.ToServer, netfault.ToClient} {
		p := echo(t)
		conn := dial(t, p)
		mustEcho(t, conn)
		p.CutAfter(3, way)
		got, _, err := say(t, conn, "hello", 10*time.Second)
		if err == nil || len(got) > 3 {
			t.Errorf("way %v: read %q, %v", way, got, err)
		}
		mustEcho(t, dial(t, p))
	}
}

func TestSilenceHoldsBackOneWay(t *testing.T) {
	t.Parallel()
	for _, way := range []netfault.Direction{netfault.ToServer, netfault.ToClient} {
		p := echo(t)
		conn := dial(t, p)
		mustEcho(t, conn)
		p.Silence(way)
		if got, _, err := say(t, conn, "hello", 50*time.Millisecond); err == nil {
			t.Errorf("way %v: %q came through", way, got)
		}
		p.Heal(false)
		if got, _, err := hear(conn, 5, 10*time.Second, time.Now()); got != "hello" {
			t.Errorf("way %v: %q came after the silence, %v", way, got, err)
		}
	}
}

func TestSilenceCanLoseWhatWasSent(t *testing.T) {
	t.Parallel()
	p := echo(t)
	conn := dial(t, p)
	mustEcho(t, conn)
	p.Silence(netfault.ToClient)
	if _, err := conn.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	p.Heal(true)
	if got, _, err := hear(conn, 5, 10*time.Second, time.Now()); err == nil || got != "" {
		t.Errorf("%q came through", got)
	}
	mustEcho(t, dial(t, p))
}

func TestDelayAndThrottle(t *testing.T) {
	t.Parallel()
	p := echo(t)
	conn := dial(t, p)
	p.Delay(60 * time.Millisecond)
	if _, took, err := say(t, conn, "hello", 10*time.Second); err != nil || took < 120*time.Millisecond {
		t.Errorf("delayed both ways: took %v, %v", took, err)
	}
	p.Heal(false)
	mustEcho(t, conn)
	p.Throttle(2000)
	text := string(bytes.Repeat([]byte("x"), 400))
	if got, took, err := say(t, conn, text, 10*time.Second); err != nil || got != text || took < 150*time.Millisecond {
		t.Errorf("400 bytes at 2000 a second took %v, %v", took, err)
	}
}

func TestRefuseConcernsNewConnections(t *testing.T) {
	t.Parallel()
	p := echo(t)
	old := dial(t, p)
	mustEcho(t, old)
	p.Refuse(true)
	if conn, err := net.Dial("tcp", p.Addr()); err == nil {
		if got, _, err := say(t, conn, "hello", 10*time.Second); err == nil {
			t.Errorf("a new connection was served: %q", got)
		}
		_ = conn.Close()
	}
	mustEcho(t, old)
	p.Heal(false)
	mustEcho(t, dial(t, p))
}

func TestCloseLeavesNothing(t *testing.T) {
	t.Parallel()
	p := echo(t)
	mustEcho(t, dial(t, p))
	p.Silence(netfault.ToServer)
	p.Close()
	if n := p.Links(); n != 0 {
		t.Errorf("%d links are left", n)
	}
}
