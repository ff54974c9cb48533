package netfault_test

import (
	"net"
	"testing"
	"time"

	"github.com/pgidem/pgidem/torture/netfault"
)

// A fault has a victim when something happens that would not have happened
// without it.
func TestVictimsAreCounted(t *testing.T) {
	t.Parallel()
	for name, begin := range map[string]func(*netfault.Proxy){
		"Cut":      func(p *netfault.Proxy) { p.Cut(true) },
		"CutAfter": func(p *netfault.Proxy) { p.CutAfter(3, netfault.ToServer) },
		"Silence":  func(p *netfault.Proxy) { p.Silence(netfault.ToClient) },
		"Delay":    func(p *netfault.Proxy) { p.Delay(time.Millisecond) },
		"Throttle": func(p *netfault.Proxy) { p.Throttle(1000) },
		"Refuse": func(p *netfault.Proxy) {
			p.Refuse(true)
			if conn, err := net.Dial("tcp", p.Addr()); err == nil {
				_ = conn.Close()
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := echo(t)
			conn := dial(t, p)
			mustEcho(t, conn)
			if n := p.Victims(); n != 0 {
				t.Fatalf("%d victims before anything was done", n)
			}
			begin(p)
			_, _ = conn.Write([]byte("hello"))
			tick := time.NewTicker(time.Millisecond)
			defer tick.Stop()
			for until := time.Now().Add(10 * time.Second); p.Victims() == 0; <-tick.C {
				if time.Now().After(until) {
					t.Fatal("nobody was met")
				}
			}
		})
	}
}

func TestNobodyIsAVictimWhereNothingHappens(t *testing.T) {
	t.Parallel()
	p := echo(t)
	conn := dial(t, p)
	mustEcho(t, conn)
	p.CutAfter(1000, netfault.ToServer)
	p.Silence(netfault.ToServer)
	p.Delay(time.Second)
	p.Throttle(1)
	p.Refuse(true)
	p.Heal(false)
	mustEcho(t, conn)
	if n := p.Victims(); n != 0 {
		t.Errorf("%d victims", n)
	}
}
