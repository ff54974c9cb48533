package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// settings are what the environment says.
type settings struct {
	databaseURL string // empty: a database of our own
	addr        string
	store       string
	lease       time.Duration // 0: the store's default
	redisURL    string        // empty: a server of our own
	redisPrefix string        // empty: the store's default
}

const (
	storePostgres = "postgres"
	storeLeased   = "leased"
	storeRedis    = "redis"
	storeMemory   = "memory"
)

var storeNames = []string{storePostgres, storeLeased, storeRedis, storeMemory}

func readSettings(getenv func(string) string) (settings, error) {
	s := settings{
		databaseURL: getenv("DATABASE_URL"),
		addr:        cmp.Or(getenv("ADDR"), "127.0.0.1:8080"),
		store:       cmp.Or(getenv("STORE"), storePostgres),
		redisURL:    getenv("REDIS_URL"),
		redisPrefix: getenv("REDIS_PREFIX"),
	}
	if !slices.Contains(storeNames, s.store) {
		return s, fmt.Errorf("STORE is %q: it must be one of %s", s.store, strings.Join(storeNames, ", "))
	}
	if _, err := redis.ParseURL(s.redisURL); s.redisURL != "" && err != nil {
		return s, fmt.Errorf("REDIS_URL: %w", err)
	}
	return s.withLease(getenv("LEASE"))
}

func (s settings) withLease(text string) (settings, error) {
	if text == "" {
		return s, nil
	}
	lease, err := time.ParseDuration(text)
	if err != nil || lease <= 0 {
		return s, fmt.Errorf("LEASE is %q: it must be a duration as 30s", text)
	}
	s.lease = lease
	return s, nil
}
