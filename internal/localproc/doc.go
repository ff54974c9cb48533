// Package localproc finds, starts and ends the server processes that tests, the
// demo and benchmarks need, whatever they serve: a folder that goes with its
// process, a child that dies with its parent, and the order in which ways to a
// server are tried.
package localproc
