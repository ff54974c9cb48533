//go:build !wallclock

package server

import "errors"

// setClock needs a build whose clock can be set; see package wallclock.
func setClock(int64) error { return errors.New("server: this build's clock cannot be set") }
