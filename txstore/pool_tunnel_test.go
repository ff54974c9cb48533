package txstore_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/internal/wiretap"
	"github.com/pgidem/pgidem/txstore"
)

// tunnel is a connection as one through SSH is: without deadlines.
type tunnel struct{ net.Conn }

var errNoDeadline = errors.New("deadline not supported")

func (tunnel) SetDeadline(time.Time) error      { return errNoDeadline }
func (tunnel) SetReadDeadline(time.Time) error  { return errNoDeadline }
func (tunnel) SetWriteDeadline(time.Time) error { return errNoDeadline }

// A pool whose connections know no deadlines works, and a server that falls
// silent behind one is given up in time all the same.
func TestPoolWhoseConnectionsKnowNoDeadlines(t *testing.T) {
	t.Parallel()
	const limit = 300 * time.Millisecond
	w, proxy := newWorld(t, given{}).tapped(given{
		Config: txstore.Config{ReserveTimeout: limit},
		Pool: func(c *pgxpool.Config) {
			c.ConnConfig.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
				conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
				return tunnel{conn}, err
			}
		},
	})
	a := w.attempt("k").mustBeFresh()
	a.pay()
	a.mustCommit("paid")
	proxy.Silence(wiretap.Server)
	defer proxy.Restore()
	got := within(t, 20*limit, "Reserve", func() reserved { return <-w.attempt("other").start() })
	if !errors.Is(got.err, idem.ErrStoreUnavailable) {
		t.Errorf("Reserve = %v, want ErrStoreUnavailable", got.err)
	}
}
