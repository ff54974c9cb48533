package redisserver_test

import (
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgidem/pgidem/internal/redisserver"
)

func cli(t *testing.T, addr string, args ...string) string {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("redis-cli", append([]string{"-h", host, "-p", port}, args...)...).CombinedOutput()
	if err != nil {
		return "error: " + strings.TrimSpace(string(out))
	}
	return strings.TrimSpace(string(out))
}

func TestStartedServerIsStoppedAndRemoved(t *testing.T) {
	t.Parallel()
	server, err := redisserver.StartOrInstall(t.Context(), redisserver.Options{Settings: []string{"maxmemory-policy allkeys-lru"}})
	if err != nil {
		t.Fatal(err)
	}
	if got := cli(t, server.Addr(), "config", "get", "maxmemory-policy"); !strings.HasSuffix(got, "allkeys-lru") {
		t.Errorf("maxmemory-policy is %q", got)
	}
	folder := strings.Fields(cli(t, server.Addr(), "config", "get", "dir"))[1]
	for range 2 {
		if err := server.Stop(); err != nil {
			t.Fatal(err)
		}
	}
	if got := cli(t, server.Addr(), "ping"); got == "PONG" {
		t.Error("the stopped server still answers")
	}
	if left, _ := filepath.Glob(folder); len(left) > 0 {
		t.Errorf("its folder is still there: %v", left)
	}
}

func TestDurableServerKeepsItsDataOverACrash(t *testing.T) {
	t.Parallel()
	server, err := redisserver.StartOrInstall(t.Context(), redisserver.Options{Durable: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Stop() })
	if got := cli(t, server.Addr(), "set", "kept", "1"); got != "OK" {
		t.Fatal(got)
	}
	if err := server.Halt(); err != nil {
		t.Fatal(err)
	}
	if err := server.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := cli(t, server.Addr(), "get", "kept"); got != "1" {
		t.Errorf("after the crash: %q", got)
	}
}

func TestClusterOfThreeMasters(t *testing.T) {
	t.Parallel()
	cluster, err := redisserver.StartCluster(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cluster.Stop() })
	if len(cluster.Addrs()) != 3 {
		t.Fatalf("nodes: %v", cluster.Addrs())
	}
	info := cli(t, cluster.Addrs()[0], "cluster", "info")
	for _, want := range []string{"cluster_state:ok", "cluster_size:3", "cluster_slots_ok:16384"} {
		if !strings.Contains(info, want) {
			t.Errorf("no %s in:\n%s", want, info)
		}
	}
}

func TestSentinelKnowsItsMaster(t *testing.T) {
	t.Parallel()
	master, err := redisserver.StartOrInstall(t.Context(), redisserver.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = master.Stop() })
	sentinel, err := redisserver.StartSentinel(t.Context(), master)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sentinel.Stop() })
	got := cli(t, sentinel.Addr(), "sentinel", "get-master-addr-by-name", redisserver.MasterName)
	if strings.ReplaceAll(got, "\n", ":") != master.Addr() {
		t.Errorf("the Sentinel names %q, want %s", got, master.Addr())
	}
}
