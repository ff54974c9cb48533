// Package memory is an idem.Store inside one process: for tests, for
// development, and for a service of one process that may forget its keys when
// it restarts.
//
// It promises one execution per key inside one process. It promises nothing
// across a restart or between several processes; behind a load balancer use a
// store that the processes share.
//
// A reservation has no lease: it lasts until its Commit or Release, since
// whatever could lose it ends the store as well. A completed record lives until
// its TTL is over, and what is remembered of it after that as long as was asked
// for. The store is bounded ([Config]), and neither is ever evicted to make
// room: a retry would run its handler a second time. A full store refuses new
// keys instead.
package memory
