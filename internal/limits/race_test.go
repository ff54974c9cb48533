//go:build race

package limits_test

// waiterCount is how many requests wait at once. The race detector follows no
// more than 8128 goroutines.
const waiterCount = 2_000
