//go:build !wallclock

package server

import "errors"

// ClockIsSettable tells whether this build is one whose clock can be set.
const ClockIsSettable = false

// setClock needs a build whose clock can be set; see package wallclock.
func setClock(int64) error { return errors.New("server: this build's clock cannot be set") }
