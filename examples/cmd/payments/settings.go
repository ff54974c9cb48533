package main

import (
	"cmp"
	"fmt"
)

// settings are what the environment says.
type settings struct {
	databaseURL string // empty: a database of our own
	addr        string
	store       string
}

const (
	storePostgres = "postgres"
	storeMemory   = "memory"
)

func readSettings(getenv func(string) string) (settings, error) {
	s := settings{
		databaseURL: getenv("DATABASE_URL"),
		addr:        cmp.Or(getenv("ADDR"), "127.0.0.1:8080"),
		store:       cmp.Or(getenv("STORE"), storePostgres),
	}
	if s.store != storePostgres && s.store != storeMemory {
		return s, fmt.Errorf("STORE is %q: it must be %s or %s", s.store, storePostgres, storeMemory)
	}
	return s, nil
}
