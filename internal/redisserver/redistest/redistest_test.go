package redistest_test

import (
	"net"
	"testing"

	"github.com/pgidem/pgidem/internal/redisserver"
	"github.com/pgidem/pgidem/internal/redisserver/redistest"
)

func reachable(addr string) bool {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

func TestOwnServerGoesWithItsTestAndTheSharedOneStays(t *testing.T) {
	t.Parallel()
	var own, shared string
	t.Run("Test", func(t *testing.T) {
		own, shared = redistest.OwnServer(t, redisserver.Options{}).Addr(), redistest.Addr(t)
		if own == shared || !reachable(own) || !reachable(shared) {
			t.Errorf("a server of its own at %s, the shared one at %s", own, shared)
		}
	})
	if reachable(own) {
		t.Error("the test's own server is still there")
	}
	if addr := redistest.Addr(t); addr != shared || !reachable(addr) {
		t.Errorf("the shared server was at %s and is at %s", shared, addr)
	}
}
