// Package limits holds tests only: what floods, crowds of waiters, slow and huge
// bodies and a pool of one connection cost, with stores of several packages
// behind real servers.
package limits
