package delayline_test

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/pgidem/pgidem/bench/internal/delayline"
)

func TestMain(m *testing.M) {
	if delayline.Child() {
		return
	}
	os.Exit(m.Run())
}

const delay = 2 * time.Millisecond

// patience bounds every wait for what must happen.
const patience = 20 * time.Second

// lines are both ways to have one: in this process and in one of its own.
func lines(t *testing.T, run func(t *testing.T, direct, distant string)) {
	echo, stop, err := delayline.Echo()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	t.Run("Here", func(t *testing.T) {
		l, err := delayline.Open(echo, delay)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		run(t, echo, l.Addr())
	})
	t.Run("OwnProcess", func(t *testing.T) {
		d, err := delayline.Start(t.Context(), echo, delay)
		if err != nil {
			t.Fatal(err)
		}
		run(t, echo, d.Addr())
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
}

// No round trip is shorter than it should be; and the fastest, which nothing
// else on the machine has held up, is hardly longer.
func TestAddsItsDelayBothWays(t *testing.T) {
	t.Parallel()
	lines(t, func(t *testing.T, direct, distant string) {
		near, _, err := delayline.RoundTrips(direct, 100)
		if err != nil {
			t.Fatal(err)
		}
		far, _, err := delayline.RoundTrips(distant, 100)
		if err != nil {
			t.Fatal(err)
		}
		if far < 2*delay || far > near+2*delay+delay/2 {
			t.Errorf("the fastest round trip took %v, want %v and little more; %v directly", far, 2*delay, near)
		}
	})
}

// What is sent without waiting for answers travels together.
func TestKeepsPipelining(t *testing.T) {
	t.Parallel()
	const messages = 500
	lines(t, func(t *testing.T, _, distant string) {
		c, err := net.Dial("tcp", distant)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(patience))
		began := time.Now()
		go func() {
			for i := range messages {
				fmt.Fprintf(c, "%08d", i)
			}
		}()
		answer := make([]byte, 8)
		for i := range messages {
			if _, err := io.ReadFull(c, answer); err != nil {
				t.Fatal(err)
			}
			if want := fmt.Sprintf("%08d", i); string(answer) != want {
				t.Fatalf("got %s, want %s", answer, want)
			}
		}
		if took := time.Since(began); took > messages*2*delay/4 {
			t.Errorf("%d messages in a row took %v: each has waited for the one before", messages, took)
		}
	})
}

func TestCarriesEveryByteAndTheEnd(t *testing.T) {
	t.Parallel()
	lines(t, func(t *testing.T, _, distant string) {
		sent := make([]byte, 8<<20)
		_, _ = rand.Read(sent)
		c, err := net.Dial("tcp", distant)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(patience))
		go func() {
			_, _ = c.Write(sent)
			_ = c.(*net.TCPConn).CloseWrite()
		}()
		got, err := io.ReadAll(c)
		if err != nil || !bytes.Equal(got, sent) {
			t.Errorf("%d bytes came back of %d, equal %t, error %v", len(got), len(sent), bytes.Equal(got, sent), err)
		}
	})
}
