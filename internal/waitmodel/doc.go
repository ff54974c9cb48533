// Package waitmodel goes through docs/model/wait.pml, the model of how txstore
// waits and wakes, with spin; and it notices when the Go code that the model
// speaks of has changed and the model may not have.
package waitmodel
