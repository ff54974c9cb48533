package redisstore_test

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/internal/redisserver"
	"github.com/pgidem/pgidem/internal/redisserver/redistest"
	"github.com/pgidem/pgidem/redisstore"
)

// documentedACL returns the words of a block in docs/security.md that stands
// under <!-- redis: name -->, for a user of that name.
func documentedACL(tb testing.TB, name, user string) []any {
	tb.Helper()
	text, err := os.ReadFile("../docs/security.md")
	if err != nil {
		tb.Fatal(err)
	}
	_, block, found := strings.Cut(string(text), "<!-- redis: "+name+" -->\n```\n")
	block, _, closed := strings.Cut(block, "\n```")
	if !found || !closed {
		tb.Fatalf("docs/security.md has no block of Redis named %q", name)
	}
	var words []any
	for word := range strings.FieldsSeq(block) {
		if word == "pgidem_app" {
			word = user
		}
		words = append(words, word)
	}
	return words
}

const aclPassword = "PASSWORD" // as in the document

// useAll goes through all that a service does, as a user of its own, and returns
// what went wrong first. Nothing in it waits for a poll; each wait takes limit at
// most.
func useAll(tb testing.TB, connect func() redis.UniversalClient, limit time.Duration) error {
	tb.Helper()
	// A waiter looks for itself when a lease ends: the long one makes it depend on
	// being told, the short one is renewed while a handler runs.
	for _, lease := range []time.Duration{time.Hour, shortLease} {
		here, ours, err := openAs(tb, connect, lease)
		if err != nil {
			return err
		}
		there, theirs, err := openAs(tb, connect, lease)
		if err != nil {
			return err
		}
		err = cmp.Or(errors.Join(append(ours(), theirs()...)...), pass(tb, here, there, limit, lease == shortLease))
		here.Close()
		there.Close()
		if err := cmp.Or(err, errors.Join(append(ours(), theirs()...)...)); err != nil {
			return err
		}
	}
	return nil
}

func openAs(tb testing.TB, connect func() redis.UniversalClient, lease time.Duration) (*redisstore.Store, func() []error, error) {
	tb.Helper()
	w := &world{TB: tb}
	client := connect()
	tb.Cleanup(func() { _ = client.Close() })
	// The default prefix: it is the one in the document.
	store, err := redisstore.New(client, redisstore.Config{
		Lease: lease, PollInterval: time.Hour, CloseTimeout: time.Second, OnError: w.note,
	})
	if err == nil {
		tb.Cleanup(store.Close)
	}
	return store, w.troubles, err
}

// pass lets one attempt run while a duplicate waits elsewhere for its end.
func pass(tb testing.TB, here, there *redisstore.Store, limit time.Duration, slow bool) error {
	key := rand.Text()
	ctx, cancel := context.WithTimeout(tb.Context(), 2*patience)
	defer cancel()
	ctx, _ = idem.WithAttempt(ctx, idem.AttemptConfig{})
	for i, end := range []func() error{
		func() error { return here.Release(ctx, key) },
		func() error { return here.Commit(ctx, key, "h", idem.Cached{Status: 200}) },
	} {
		_, fresh, err := here.Reserve(ctx, key, "h", time.Minute)
		if !fresh || err != nil {
			return fmt.Errorf("reserve: fresh %t: %w", fresh, err)
		}
		waiting := make(chan error, 1)
		go func() { waiting <- duplicate(tb, there, key, limit) }()
		for deadline := time.Now().Add(limit); !there.Subscribed(key); <-time.After(time.Millisecond) {
			if time.Now().After(deadline) {
				return errors.New("the duplicate has not subscribed")
			}
		}
		if slow && i == 1 { // a Commit tells whether the lease was renewed
			<-time.After(2 * shortLease)
		}
		if err := end(); err != nil {
			return fmt.Errorf("end: %w", err)
		}
		if err := <-waiting; err != nil {
			return fmt.Errorf("duplicate: %w", err)
		}
	}
	return nil
}

func duplicate(tb testing.TB, there *redisstore.Store, key string, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(tb.Context(), limit+2*shortLease)
	defer cancel()
	ctx, _ = idem.WithAttempt(ctx, idem.AttemptConfig{})
	_, fresh, err := there.Reserve(ctx, key, "h", time.Minute)
	if fresh {
		err = there.Release(ctx, key)
	}
	return err
}

func as(addr, user string) func() redis.UniversalClient {
	return func() redis.UniversalClient {
		return redis.NewClient(&redis.Options{Addr: addr, Username: user, Password: aclPassword})
	}
}

// The user of docs/security.md can do all that a Store does, and no more.
func TestDocumentedACLIsEnough(t *testing.T) {
	t.Parallel()
	server := ownServer(t, redisserver.Options{})
	admin := redis.NewClient(&redis.Options{Addr: server.Addr()})
	t.Cleanup(func() { _ = admin.Close() })
	if err := admin.Do(t.Context(), documentedACL(t, "single server", "app")...).Err(); err != nil {
		t.Fatal(err)
	}
	if err := useAll(t, as(server.Addr(), "app"), patience); err != nil {
		t.Error(err)
	}
	client := as(server.Addr(), "app")()
	t.Cleanup(func() { _ = client.Close() })
	for _, refused := range [][]any{
		{"GET", "session:1"},
		{"SET", "pgidem:1", "x"},
		{"EVAL", "return redis.call('GET', 'session:1')", "0"},
		{"PUBLISH", "other", "x"},
		{"KEYS", "*"},
		{"SCAN", "0"},
		{"FLUSHALL"},
		{"CONFIG", "SET", "maxmemory", "1"},
		{"SCRIPT", "FLUSH"},
		{"ACL", "LIST"},
	} {
		if err := client.Do(t.Context(), refused...).Err(); !isForbidden(err) {
			t.Errorf("%v: %v, want it refused", refused, err)
		}
	}
}

// isForbidden tells whether an ACL has refused a command. Inside a script servers
// have other words for that, and not all of them the same.
func isForbidden(err error) bool {
	return redis.HasErrorPrefix(err, "NOPERM") || err != nil &&
		(strings.Contains(err.Error(), "can't access") || strings.Contains(err.Error(), "ACL failure in script"))
}

// Each command of the line is needed: something breaks without it, or somebody
// is told.
func TestDocumentedACLHasNothingToSpare(t *testing.T) {
	t.Parallel()
	line := documentedACL(t, "single server", "app")
	for _, word := range line {
		command, ok := strings.CutPrefix(word.(string), "+")
		if !ok || slices.Contains(rarelyNeeded, command) {
			continue
		}
		t.Run(command, func(t *testing.T) {
			t.Parallel()
			server := ownServer(t, redisserver.Options{})
			admin := redis.NewClient(&redis.Options{Addr: server.Addr()})
			t.Cleanup(func() { _ = admin.Close() })
			without := append(slices.Clone(line), "-"+command)
			if err := admin.Do(t.Context(), without...).Err(); err != nil {
				t.Fatal(err)
			}
			if useAll(t, as(server.Addr(), "app"), time.Second) == nil {
				t.Error("nothing breaks without it")
			}
		})
	}
}

// rarelyNeeded are commands whose want shows only with time: a quiet connection
// is looked after, one is not to hear any more of what nobody waits for, and a
// lease that is renewed for very long must not be dropped by Redis.
var rarelyNeeded = []string{"ping", "unsubscribe", "pexpire"}

// The same on a Cluster, with both lines.
func TestDocumentedACLIsEnoughOnACluster(t *testing.T) {
	t.Parallel()
	addrs := redistest.ClusterAddrs(t)
	admin := redis.NewClusterClient(&redis.ClusterOptions{Addrs: addrs})
	user := "app" + rand.Text()
	everywhere := func(ctx context.Context, words ...any) error {
		return admin.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error { return node.Do(ctx, words...).Err() })
	}
	t.Cleanup(func() {
		if err := everywhere(context.Background(), "ACL", "DELUSER", user); err != nil {
			t.Error(err)
		}
		_ = admin.Close()
	})
	for _, block := range []string{"single server", "cluster"} {
		if err := everywhere(t.Context(), documentedACL(t, block, user)...); err != nil {
			t.Fatal(err)
		}
	}
	err := useAll(t, func() redis.UniversalClient {
		return redis.NewClusterClient(&redis.ClusterOptions{Addrs: addrs, Username: user, Password: aclPassword})
	}, patience)
	if err != nil {
		t.Error(err)
	}
}
