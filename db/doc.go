// Package db is what sqlc makes of sql/ and migrations/, for txstore alone: no
// part of the API, and free to change in every release.
package db
