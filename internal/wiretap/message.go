package wiretap

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
)

// Side says who has sent a message.
type Side int

const (
	// Client is the program under test.
	Client Side = iota
	// Server is PostgreSQL.
	Server
)

// Message is one message of the protocol, on its way.
type Message struct {
	// Conn numbers the proxy's connections, in the order they were accepted.
	Conn int
	// From is who has sent it.
	From Side
	// Type is the protocol's type byte; 0 for a connection's first message, which
	// has none.
	Type byte
	// Body follows the type and the length. It is valid during the call only.
	Body []byte
}

// Verdict says what becomes of a message.
type Verdict int

const (
	// Pass forwards the message.
	Pass Verdict = iota
	// PassNow forwards the message at once. Others may go together with what
	// follows them: a call that holds that back holds back them, too.
	PassNow
	// CutBefore closes the connection, both ways, instead of forwarding it.
	CutBefore
	// CutInside forwards half of the message and closes the connection.
	CutInside
	// CutAfter forwards the message and closes the connection.
	CutAfter
)

const (
	// maxMessage bounds what a length that was misread would allocate.
	maxMessage = 64 << 20

	codeTLS = 80877103
	codeGSS = 80877104
)

var errFraming = errors.New("wiretap: not a message of the protocol")

// readMessage returns the next message whole, with its type and length, and its
// body in it. first is for a client's first message, which has no type.
func readMessage(r *bufio.Reader, first bool) (whole, body []byte, err error) {
	head := 5
	if first {
		head = 4
	}
	header := make([]byte, head)
	if _, err := io.ReadFull(r, header); err != nil {
		return nil, nil, err
	}
	size := int(binary.BigEndian.Uint32(header[head-4:]))
	if size < 4 || size > maxMessage {
		return nil, nil, errFraming
	}
	whole = append(header, make([]byte, size-4)...)
	if _, err := io.ReadFull(r, whole[head:]); err != nil {
		return nil, nil, err
	}
	return whole, whole[head:], nil
}

// asksEncryption tells whether a first message asks for TLS or GSS.
func asksEncryption(body []byte) bool {
	code := startCode(body)
	return code == codeTLS || code == codeGSS
}

func startCode(body []byte) uint32 {
	if len(body) < 4 {
		return 0
	}
	return binary.BigEndian.Uint32(body)
}
