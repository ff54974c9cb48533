// Package redisstore keeps idempotency records in Redis: a single server, one
// behind Sentinel, or a Cluster.
//
// A reservation is a lease: a key with an end, which is renewed while the handler
// runs. At most one lease on a key is alive, a record is replayed until its TTL
// is over, and an owner whose lease was taken over changes nothing. It is as
// durable as that Redis: a crash between a handler's effect and its Commit lets a
// retry run again when the lease has ended, and so does a failover that loses the
// write. For effects in PostgreSQL that must happen exactly once use txstore.
//
// A record that is to be remembered after its TTL (idem.Config.RememberExpired)
// shrinks to its key and hash when it is first asked for after that. One that
// nobody asks for keeps its response until it is forgotten: plan the server's
// memory for TTL and RememberExpired together.
//
// Every step is one command or one Lua script on one key, and the server's clock
// is the only one. A fresh request takes two round trips, a replay one. Requests
// that come at the same time travel together in pipelines, except on a Cluster or a
// Ring. It needs Redis 6.2 or Valkey; from 7.0 on, a replay and the first step of
// a fresh request need no script, unless records are to be remembered.
package redisstore
