// Package wiretap is a TCP proxy for tests that stands between a client and a
// PostgreSQL server. It understands where the messages of the protocol begin and
// end, so that a test can count network round trips, cut a connection at a
// chosen message or in the middle of one, and let the network fall silent.
//
// It speaks no TLS: it refuses a client's request for it, and a client that
// insists cannot connect.
package wiretap
