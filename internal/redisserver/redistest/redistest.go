// Package redistest gives tests the Redis servers that they need.
//
// The first test that asks starts or finds a server (see redisserver.Find); all
// tests of a program share it, each under a prefix of its own. Without a server
// tests fail, they never skip.
package redistest

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/pgidem/pgidem/internal/redisserver"
)

// findTimeout leaves room for the installation of a package.
const findTimeout = 10 * time.Minute

// The servers of this program. They are never stopped here: they end with the
// process, and their folders are removed by the next one.
var (
	sharedServer = sync.OnceValues(func() (*redisserver.Server, error) {
		ctx, cancel := context.WithTimeout(context.Background(), findTimeout)
		defer cancel()
		return redisserver.Find(ctx, redisserver.Options{})
	})
	sharedCluster = sync.OnceValues(func() (*redisserver.Cluster, error) {
		ctx, cancel := context.WithTimeout(context.Background(), findTimeout)
		defer cancel()
		return redisserver.FindCluster(ctx)
	})
)

// Addr returns the address of the shared server.
func Addr(tb testing.TB) string {
	tb.Helper()
	server, err := sharedServer()
	if err != nil {
		tb.Fatal(err)
	}
	return server.Addr()
}

// ClusterAddrs returns the addresses of the shared Cluster of three masters.
func ClusterAddrs(tb testing.TB) []string {
	tb.Helper()
	cluster, err := sharedCluster()
	if err != nil {
		tb.Fatal(err)
	}
	return cluster.Addrs()
}

// OwnServer starts a server for this test alone, for tests that halt it or need
// settings of their own. It is stopped after the test.
func OwnServer(tb testing.TB, options redisserver.Options) *redisserver.Server {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), findTimeout)
	defer cancel()
	server, err := redisserver.StartOrInstall(ctx, options)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := server.Stop(); err != nil {
			tb.Error(err)
		}
	})
	return server
}

// sharedSentinel watches a server of its own.
var sharedSentinel = sync.OnceValues(func() (*redisserver.Server, error) {
	ctx, cancel := context.WithTimeout(context.Background(), findTimeout)
	defer cancel()
	master, err := redisserver.StartOrInstall(ctx, redisserver.Options{})
	if err != nil {
		return nil, err
	}
	return redisserver.StartSentinel(ctx, master)
})

// SentinelAddr returns the address of a shared Sentinel that watches one master,
// by the name of redisserver.MasterName.
func SentinelAddr(tb testing.TB) string {
	tb.Helper()
	sentinel, err := sharedSentinel()
	if err != nil {
		tb.Fatal(err)
	}
	return sentinel.Addr()
}
