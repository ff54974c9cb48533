//go:build !race

package limits_test

// waiterCount is how many requests wait at once.
const waiterCount = 10_000
