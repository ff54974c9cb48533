// Package payments is a small payments API that is safe to retry: the example
// to read before writing one's own.
//
// It has what most such services have: a table of accounts, a table of
// payments, a handler that debits the one and inserts into the other, and a
// check of who is calling. What pgidem adds to it is one middleware (see
// [NewHandler]) and one rule: the handler writes in the transaction that
// [Transactor] gives it.
package payments
