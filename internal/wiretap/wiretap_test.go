package wiretap_test

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/pgidem/pgidem/internal/wiretap"
)

// message is one of the protocol, with the type's byte unless it is 0.
func message(kind byte, body string) []byte {
	var b []byte
	if kind != 0 {
		b = append(b, kind)
	}
	b = binary.BigEndian.AppendUint32(b, uint32(len(body)+4))
	return append(b, body...)
}

// parrot answers each burst that ends with a Sync or the first message by two
// messages.
func parrot(t *testing.T) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go answer(c)
		}
	}()
	return l.Addr().String()
}

func answer(c net.Conn) {
	defer c.Close()
	r := bufio.NewReader(c)
	for first := true; ; first = false {
		kind := byte('S')
		if !first {
			kind, _ = r.ReadByte()
		}
		var size [4]byte
		if _, err := io.ReadFull(r, size[:]); err != nil {
			return
		}
		if _, err := io.CopyN(io.Discard, r, int64(binary.BigEndian.Uint32(size[:])-4)); err != nil {
			return
		}
		if kind == 'S' {
			_, _ = c.Write(append(message('D', "data"), message('Z', "I")...))
		}
	}
}

// client is connected through the proxy and has had its first answer.
type client struct {
	*testing.T
	net.Conn
}

func connect(t *testing.T, p *wiretap.Proxy) client {
	t.Helper()
	conn, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	return client{t, conn}
}

func (c client) send(messages ...[]byte) {
	c.Helper()
	for _, m := range messages {
		if _, err := c.Write(m); err != nil {
			c.Fatal(err)
		}
	}
}

const answerSize = 5 + 4 + 5 + 1

// receive returns how many bytes of an answer arrive.
func (c client) receive() int {
	c.Helper()
	n, err := io.ReadFull(c, make([]byte, answerSize))
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		c.Fatal(err)
	}
	return n
}

func (c client) mustReceive(want int) {
	c.Helper()
	if n := c.receive(); n != want {
		c.Fatalf("%d bytes of the answer arrived, want %d", n, want)
	}
}

func TestTripsCountTurnsOfTheClient(t *testing.T) {
	t.Parallel()
	p := wiretap.Start(t, parrot(t))
	c := connect(t, p)
	c.send(message(0, "\x00\x03\x00\x00"))
	c.mustReceive(answerSize)
	for range 3 { // three bursts of several messages, and of several writes
		c.send(message('P', "statement"), message('B', ""), message('S', ""))
		c.mustReceive(answerSize)
	}
	if n := p.Trips(); n != 4 {
		t.Errorf("%d round trips, want 4", n)
	}
	if n := p.Accepted(); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
}

func TestEncryptionIsRefused(t *testing.T) {
	t.Parallel()
	c := connect(t, wiretap.Start(t, parrot(t)))
	c.send(message(0, "\x04\xd2\x16\x2f"))
	reply := make([]byte, 1)
	if _, err := io.ReadFull(c, reply); err != nil || reply[0] != 'N' {
		t.Fatalf("answered %q, %v", reply, err)
	}
	c.send(message(0, "\x00\x03\x00\x00"))
	c.mustReceive(answerSize)
}

func TestCutsAreWhereTheyWereOrdered(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		verdict wiretap.Verdict
		arrives int // of the nine bytes of the first message of the answer
	}{
		"Before": {wiretap.CutBefore, 0},
		"Inside": {wiretap.CutInside, 5},
		"After":  {wiretap.CutAfter, 9},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := wiretap.Start(t, parrot(t))
			client := connect(t, p)
			client.send(message(0, "\x00\x03\x00\x00"))
			client.mustReceive(answerSize)
			p.Intercept(func(m wiretap.Message) wiretap.Verdict {
				if m.From == wiretap.Server && m.Type == 'D' {
					return c.verdict
				}
				return wiretap.Pass
			})
			client.send(message('S', ""))
			client.mustReceive(c.arrives)
		})
	}
}

func TestCutAndRefuse(t *testing.T) {
	t.Parallel()
	p := wiretap.Start(t, parrot(t))
	c := connect(t, p)
	c.send(message(0, "\x00\x03\x00\x00"))
	c.mustReceive(answerSize)
	p.Refuse(true)
	p.Cut()
	c.mustReceive(0)
	if n, err := connect(t, p).Read(make([]byte, 1)); err == nil {
		t.Errorf("a refused connection read %d bytes", n)
	}
	p.Refuse(false)
	again := connect(t, p)
	again.send(message(0, "\x00\x03\x00\x00"))
	again.mustReceive(answerSize)
}

func TestSilenceHoldsBackUntilRestored(t *testing.T) {
	t.Parallel()
	for name, side := range map[string]wiretap.Side{"Client": wiretap.Client, "Server": wiretap.Server} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := wiretap.Start(t, parrot(t))
			c := connect(t, p)
			c.send(message(0, "\x00\x03\x00\x00"))
			c.mustReceive(answerSize)
			p.Silence(side)
			c.send(message('S', ""))
			_ = c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
			if n, err := c.Read(make([]byte, 1)); err == nil {
				t.Fatalf("%d bytes came through the silence", n)
			}
			_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
			p.Restore()
			c.mustReceive(answerSize)
		})
	}
}

func TestDelayHoldsBackEachBurst(t *testing.T) {
	t.Parallel()
	p := wiretap.Start(t, parrot(t))
	c := connect(t, p)
	c.send(message(0, "\x00\x03\x00\x00"))
	c.mustReceive(answerSize)
	const delay = 30 * time.Millisecond
	p.Delay(delay)
	begun := time.Now()
	c.send(message('S', ""))
	c.mustReceive(answerSize)
	if took := time.Since(begun); took < 2*delay {
		t.Errorf("there and back took %v, want at least %v", took, 2*delay)
	}
}
