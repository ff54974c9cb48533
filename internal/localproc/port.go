package localproc

import (
	"errors"
	"net"
)

// errPortTaken: between freePort and the server's start somebody else took the
// port. Trying another one helps.
var errPortTaken = errors.New("port is taken")

const maxPort = 1<<16 - 1

// freePort returns a port of the loopback address that was free a moment ago.
func freePort() (int, error) {
	listener, err := net.Listen("tcp", Loopback(0))
	if err != nil {
		return 0, err
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().(*net.TCPAddr).Port, nil
}

// startTries bounds how often another port is taken.
const startTries = 5

// onFreePort calls start with a free port, and again with another one while it
// says errPortTaken.
func onFreePort(start func(port int) error) (err error) {
	for range startTries {
		port, portErr := freePort()
		if portErr != nil {
			return portErr
		}
		if err = start(port); !errors.Is(err, errPortTaken) {
			return err
		}
	}
	return err
}
