package redisstore_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/internal/redisserver"
	"github.com/pgidem/pgidem/internal/redisserver/redistest"
	"github.com/pgidem/pgidem/redisstore"
)

func TestEvictingServerIsRefused(t *testing.T) {
	t.Parallel()
	server := ownServer(t, redisserver.Options{Settings: []string{"maxmemory-policy volatile-lru"}})
	client := redis.NewClient(&redis.Options{Addr: server.Addr()})
	t.Cleanup(func() { _ = client.Close() })
	_, err := redisstore.New(client, redisstore.Config{})
	if err == nil || !strings.Contains(err.Error(), "volatile-lru") || !strings.Contains(err.Error(), "AllowEviction") {
		t.Errorf("New: %v, want an error that names the policy and the way to insist", err)
	}
	store, err := redisstore.New(client, redisstore.Config{AllowEviction: true})
	if err != nil {
		t.Fatal(err)
	}
	store.Close()
}

func TestUnreachableServerIsRefused(t *testing.T) {
	t.Parallel()
	client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", MaxRetries: -1})
	t.Cleanup(func() { _ = client.Close() })
	if _, err := redisstore.New(client, redisstore.Config{}); !errors.Is(err, idem.ErrStoreUnavailable) {
		t.Errorf("New: %v, want ErrStoreUnavailable", err)
	}
}

func TestWrongConfigIsRefused(t *testing.T) {
	t.Parallel()
	client := redis.NewClient(&redis.Options{Addr: redistest.Addr(t)})
	t.Cleanup(func() { _ = client.Close() })
	for field, config := range map[string]redisstore.Config{
		"Lease is 1ms":      {Lease: time.Millisecond},
		"Lease is 24h0m0":   {Lease: 24*time.Hour + 1},
		"CallTimeout":       {CallTimeout: -1},
		"CallTimeout is 5n": {CallTimeout: 5},
		"CloseTimeout":      {CloseTimeout: -1},
		"PollInterval":      {PollInterval: 250},
	} {
		if _, err := redisstore.New(client, config); err == nil || !strings.Contains(err.Error(), "Config."+field) {
			t.Errorf("New: %v, want an error that names Config.%s", err, field)
		}
	}
	if _, err := redisstore.New(nil, redisstore.Config{}); err == nil {
		t.Error("New took a nil client")
	}
}

// A user who may neither publish nor read the configuration: what is recorded
// stays recorded, and waiters poll.
func TestUserWhoMayNotPublish(t *testing.T) {
	t.Parallel()
	server := ownServer(t, redisserver.Options{Settings: []string{"user app on >secret ~* &* +@all -publish -spublish -config"}})
	options := redis.Options{Username: "app", Password: "secret"}
	w := newWorld(t, given{Addr: server.Addr(), Client: options})
	if troubles := w.troubles(); len(troubles) != 1 || !strings.Contains(troubles[0].Error(), "maxmemory-policy") {
		t.Errorf("told to OnError: %v, want that the policy cannot be read", troubles)
	}
	there := w.process(given{Client: options, Config: redisstore.Config{PollInterval: 20 * time.Millisecond}})
	for _, end := range []string{"paid", ""} {
		a := w.attempt("k" + end).mustBeFresh()
		waiting := there.attempt("k" + end).start()
		eventually(t, "the duplicate has subscribed", func() bool { return there.store.Subscribed("k" + end) })
		if end == "" {
			a.mustRelease()
			if got := await(t, "the duplicate", waiting); !got.fresh {
				t.Errorf("the duplicate got %s, want it fresh", got.body())
			}
			continue
		}
		a.mustCommit(end)
		if got := await(t, "the duplicate", waiting); got.body() != end {
			t.Errorf("the duplicate got %s", got.body())
		}
	}
}

// A key that a retry may not have at once after a 5xx is in flight until the
// lease ends.
func TestHoldAfterDiscard(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{Config: redisstore.Config{HoldAfterDiscard: true}})
	w.attempt("k").mustBeFresh().mustRelease()
	impatient := w.attemptWith("k", idem.AttemptConfig{NoWait: true})
	if r := impatient.reserve(); !errors.Is(r.err, idem.ErrInFlight) {
		t.Errorf("Reserve after a discarded attempt: %s, want ErrInFlight", r.body())
	}
	w.age(30 * time.Second)
	w.attempt("k").mustBeFresh().mustCommit("paid")
	w.attempt("k").mustReplay("paid")
}

// Whatever braces a client's key has, it works on a Cluster, and the records
// spread over its masters.
func TestKeysWithBracesOnACluster(t *testing.T) {
	t.Parallel()
	client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: redistest.ClusterAddrs(t)})
	w := newWorldOn(t, client, redisstore.Config{})
	slots := make(map[int64]bool)
	for _, key := range []string{"{a}1", "{a}2", "{a}3", "}{", "{}", "{", "}", "a{b", "{{a}}", "\n{x}\r\n"} {
		w.attempt(key).mustBeFresh().mustCommit("of " + key)
		w.attempt(key).mustReplay("of " + key)
		slot, err := client.ClusterKeySlot(t.Context(), w.prefix+key).Result()
		if err != nil {
			t.Fatal(err)
		}
		slots[slot] = true
	}
	if len(slots) < 8 {
		t.Errorf("10 keys lie in %d slots: a client's braces decide where", len(slots))
	}
}

// Behaviour 11.
func TestUnreachableClusterIsUnavailable(t *testing.T) {
	t.Parallel()
	client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{"127.0.0.1:1"}, MaxRetries: -1})
	t.Cleanup(func() { _ = client.Close() })
	if _, err := redisstore.New(client, redisstore.Config{}); !errors.Is(err, idem.ErrStoreUnavailable) {
		t.Errorf("New: %v, want ErrStoreUnavailable", err)
	}
}

// A server that refuses the client does not keep its policy to itself.
func TestWrongPasswordIsRefused(t *testing.T) {
	t.Parallel()
	server := ownServer(t, redisserver.Options{Settings: []string{"user app on >secret ~* &* +@all"}})
	client := redis.NewClient(&redis.Options{Addr: server.Addr(), Username: "app", Password: "wrong"})
	t.Cleanup(func() { _ = client.Close() })
	if _, err := redisstore.New(client, redisstore.Config{}); err == nil || !strings.Contains(err.Error(), "refuses the client") {
		t.Errorf("New: %v, want the server's refusal", err)
	}
}

// A server that has no CONFIG, as one that somebody else runs, is used, and told of.
func TestServerWithoutConfigIsNotRefused(t *testing.T) {
	t.Parallel()
	server := ownServer(t, redisserver.Options{Settings: []string{`rename-command CONFIG ""`}})
	w := newWorld(t, given{Addr: server.Addr()})
	if troubles := w.troubles(); len(troubles) != 1 || !strings.Contains(troubles[0].Error(), "maxmemory-policy") {
		t.Errorf("told to OnError: %v, want that the policy cannot be read", troubles)
	}
}

// A server that refuses every call, as in a database that it does not have, does not
// merely keep its policy to itself.
func TestDatabaseThatIsNotThereIsRefused(t *testing.T) {
	t.Parallel()
	client := redis.NewClient(&redis.Options{Addr: redistest.Addr(t), DB: 4711})
	t.Cleanup(func() { _ = client.Close() })
	if _, err := redisstore.New(client, redisstore.Config{}); err == nil {
		t.Error("New took a client whose every call is refused")
	}
}
