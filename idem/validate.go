package idem

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

func (c Config) validate() error {
	switch {
	case c.Store == nil:
		return fmt.Errorf("idem: Config.Store is nil: give it a store, for example txstore.New(pool, txstore.Config{})")
	case c.HeaderName != "" && !isToken(c.HeaderName):
		return fmt.Errorf("idem: Config.HeaderName %q is not a header field name", c.HeaderName)
	case takenByServer(c.HeaderName):
		return fmt.Errorf("idem: Config.HeaderName %q is none that a handler sees, so nothing would be protected", c.HeaderName)
	case c.ReplayHeaderName != "" && !isToken(c.ReplayHeaderName):
		return fmt.Errorf("idem: Config.ReplayHeaderName %q is not a header field name", c.ReplayHeaderName)
	case c.ReplayHeaderName != "" && hasMeaning(c.ReplayHeaderName):
		return fmt.Errorf("idem: Config.ReplayHeaderName %q means something else in a response, and would replace that in replays", c.ReplayHeaderName)
	}
	return errors.Join(validateTimes("Config", c.DefaultTTL, c.RememberExpired), c.validateMethods(), c.validateCounts())
}

// takenByServer tells whether net/http takes a header field out of the request's
// header before a handler sees it.
func takenByServer(name string) bool {
	switch http.CanonicalHeaderKey(name) {
	case "Host", "Trailer", "Transfer-Encoding":
		return true
	}
	return false
}

// hasMeaning tells whether "true" in a response header field of that name would
// be taken for something else than the mark of a replay.
func hasMeaning(name string) bool {
	name = http.CanonicalHeaderKey(name)
	return !storable(name) || strings.HasPrefix(name, "Content-") || name == "Location" || name == "Retry-After"
}

// validateMethods refuses a method that no client sends: its routes would be
// left unprotected, and nobody would notice.
func (c Config) validateMethods() error {
	for i, m := range c.Methods {
		switch upper := strings.ToUpper(m); {
		case m == "*":
			return fmt.Errorf("idem: Config.Methods[%d] %q is not a method: leave Methods nil to protect all that change something", i, m)
		case !isToken(m):
			return fmt.Errorf("idem: Config.Methods[%d] %q is not a method name", i, m)
		case m != upper:
			return fmt.Errorf("idem: Config.Methods[%d] %q would protect nothing, since methods are case-sensitive: write %q", i, m, upper)
		}
	}
	return nil
}

// validateTimes refuses what a store would round down to nothing.
func validateTimes(config string, ttl, rememberExpired time.Duration) error {
	for _, d := range []struct {
		name  string
		value time.Duration
		zero  string
	}{
		{"DefaultTTL", ttl, "for the default"},
		{"RememberExpired", rememberExpired, "to remember nothing"},
	} {
		if d.value != 0 && d.value < time.Microsecond {
			return fmt.Errorf("idem: %s.%s is %v: it must be a microsecond at least, or 0 %s", config, d.name, d.value, d.zero)
		}
	}
	return nil
}

func (c Config) validateCounts() error {
	for _, count := range []struct {
		name  string
		value int
	}{
		{"MaxRuns", c.MaxRuns},
		{"MaxInFlightPerScope", c.MaxInFlightPerScope},
		{"MaxWaitingPerScope", c.MaxWaitingPerScope},
	} {
		if count.value < 0 {
			return fmt.Errorf("idem: Config.%s is %d: it must not be negative", count.name, count.value)
		}
	}
	return nil
}
