package meter

import (
	"bytes"
	"sync/atomic"

	"github.com/pgidem/pgidem/internal/wiretap"
)

// Wire counts what goes over the connections of a wiretap.
type Wire struct {
	proxy *wiretap.Proxy

	statements, parses   atomic.Int64
	toServer, fromServer atomic.Int64
}

// Traffic is what was counted until now.
type Traffic struct {
	// Trips are network round trips, Statements executions, Parses statements
	// that the server had to parse anew.
	Trips, Statements, Parses int64
	// ToServer and FromServer are bytes.
	ToServer, FromServer int64
}

// Sub returns what was counted since an earlier reading.
func (t Traffic) Sub(earlier Traffic) Traffic {
	return Traffic{
		Trips: t.Trips - earlier.Trips, Statements: t.Statements - earlier.Statements, Parses: t.Parses - earlier.Parses,
		ToServer: t.ToServer - earlier.ToServer, FromServer: t.FromServer - earlier.FromServer,
	}
}

// Tap makes proxy count.
func Tap(proxy *wiretap.Proxy) *Wire {
	w := &Wire{proxy: proxy}
	proxy.Intercept(w.count)
	return w
}

// Read returns what was counted.
func (w *Wire) Read() Traffic {
	return Traffic{
		Trips: int64(w.proxy.Trips()), Statements: w.statements.Load(), Parses: w.parses.Load(),
		ToServer: w.toServer.Load(), FromServer: w.fromServer.Load(),
	}
}

// count notes a message: its type, its length and its body.
func (w *Wire) count(m wiretap.Message) wiretap.Verdict {
	size := int64(len(m.Body) + 5)
	if m.From == wiretap.Server {
		w.fromServer.Add(size)
		return wiretap.Pass
	}
	w.toServer.Add(size)
	switch m.Type {
	case 'E':
		w.statements.Add(1)
	case 'P':
		w.parses.Add(1)
	case 'Q': // of the simple protocol: statements behind one another, ended by 0
		w.statements.Add(int64(1 + bytes.Count(bytes.TrimRight(m.Body, "; \x00"), []byte(";"))))
	}
	return wiretap.Pass
}
