// Package txstore keeps idempotency records in PostgreSQL, in the same
// transaction as the handler's own writes: both are there or neither is.
//
// Behind [idem.RESTMiddleware] the store opens one transaction for each fresh
// request, in the same network round trip that reserves the key. The handler
// writes through [Store.InTx] or [TxFromContext]; the store commits those
// writes together with the response. A fresh request takes as many round trips
// as the handler's own BEGIN … COMMIT would, and a replay one or two. A Store
// most of whose requests are replays looks a key up before it begins: a fresh
// request among them takes one more.
//
// Safety rests on the primary key of the records table alone. Advisory locks
// and LISTEN/NOTIFY make duplicates wait and wake quickly; with both gone the
// store is slower and still right.
//
// The table comes from package migrations.
package txstore
