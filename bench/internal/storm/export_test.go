package storm

import "github.com/pgidem/pgidem/idem"

// Protect makes a Task able to name a store that needs no server. Its handlers
// only sleep.
func Protect(name string, open func(Task) idem.Store) {
	protections[name] = func(t Task) (*protection, error) {
		p, err := openBroadcast(t)
		if err == nil {
			p.store = open(t)
		}
		return p, err
	}
}
