package localproc

import (
	"errors"
	"net"
)

// ErrPortTaken: between FreePort and the server's start somebody else took the
// port. Trying another one helps.
var ErrPortTaken = errors.New("port is taken")

// FreePort returns a port of the loopback address that was free a moment ago.
func FreePort() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().(*net.TCPAddr).Port, nil
}

// startTries bounds how often another port is taken.
const startTries = 5

// OnFreePort calls start with a free port, and again with another one while it
// says ErrPortTaken.
func OnFreePort(start func(port int) error) (err error) {
	for range startTries {
		port, portErr := FreePort()
		if portErr != nil {
			return portErr
		}
		if err = start(port); !errors.Is(err, ErrPortTaken) {
			return err
		}
	}
	return err
}
