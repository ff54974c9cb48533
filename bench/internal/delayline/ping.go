package delayline

import (
	"io"
	"net"
	"time"

	"github.com/pgidem/pgidem/bench/internal/stats"
)

// Echo starts a server on loopback that sends back what it gets, to ping it
// directly and through a Line. It ends with stop.
func Echo() (addr string, stop func(), err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(c, c)
				_ = c.Close()
			}()
		}
	}()
	return listener.Addr().String(), func() { _ = listener.Close() }, nil
}

// RoundTrips sends a byte to an Echo at addr, awaits it, and again, n times. It
// returns the fastest and the median.
func RoundTrips(addr string, n int) (fastest, median time.Duration, err error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = c.Close() }()
	took := make([]float64, 0, n)
	b := make([]byte, 1)
	for range n {
		began := time.Now()
		if _, err := c.Write(b); err != nil {
			return 0, 0, err
		}
		if _, err := io.ReadFull(c, b); err != nil {
			return 0, 0, err
		}
		took = append(took, float64(time.Since(began)))
	}
	return time.Duration(stats.Percentile(took, 0)), time.Duration(stats.Percentile(took, 50)), nil
}
