// Package server is one server process of a torture run: payments behind the
// middleware, over the store of the run's mode.
package server

import (
	"encoding/json"
	"errors"
	"os"
	"time"
)

// Variable is the environment variable that makes a process a server. Its value
// are the Settings.
const Variable = "TORTURE_SERVER"

// Settings say what kind of server a process is.
type Settings struct {
	Number      int // from 1
	Mode        string
	Broken      string // the broken store to use instead; empty: none
	DatabaseURL string
	RedisURL    string
}

// Time bounds of the servers: short ones, so that a run of a minute meets each
// of them many times.
const (
	maxHandlerTime = 3 * time.Second
	waitTimeout    = 5 * time.Second
	leaseTime      = 2 * time.Second
	commitTimeout  = 3 * time.Second
	// storeTimeout bounds getting a connection, connecting, and each other round
	// trip of a store.
	storeTimeout = 2 * time.Second
	pollInterval = 250 * time.Millisecond
	// TTL is how long records live: all of a run, and BriefTTL those of the
	// payments that may be made again soon.
	TTL      = 24 * time.Hour
	BriefTTL = 2 * time.Second

	writeTimeout    = 20 * time.Second
	shutdownTimeout = 15 * time.Second
	poolSize        = 12
	sweepEvery      = 500 * time.Millisecond
	replayCache     = 1 << 20
)

// Environment returns the settings as an entry of an environment.
func (s Settings) Environment() string {
	text, _ := json.Marshal(s) // strings and numbers: it cannot fail
	return Variable + "=" + string(text)
}

// fromEnvironment returns the settings of this process.
func fromEnvironment() (Settings, error) {
	text := os.Getenv(Variable)
	if text == "" {
		return Settings{}, errors.New("server: " + Variable + " is not set")
	}
	var s Settings
	return s, json.Unmarshal([]byte(text), &s)
}

// Unusable bounds how long a key can be unusable once nothing is disturbed any
// more: an attempt that is in flight runs to its end, or its lease does; who
// waits for it learns of that by its next poll at the latest, which come eight
// times as far apart at most, and half of it more; and then its own handler may
// take its time. The rest is for a busy machine.
const Unusable = max(maxHandlerTime+commitTimeout, leaseTime) + 8*pollInterval*3/2 + maxHandlerTime + 3*time.Second
