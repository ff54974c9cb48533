// Package storm makes many processes send one request many times at once, and
// says what became of it.
package storm

import "time"

// The protections that a Task can name.
const (
	// Broadcast is the reference, see broadcast.
	Broadcast     = "broadcast"
	Transactional = "txstore"
	Leased        = "leased"
	Redis         = "redisstore"
)

// Task is what each process does.
type Task struct {
	Store    string
	Postgres string // URL
	Redis    string // address
	Key      string
	// Duplicates is how often each process sends the request, Handler how long
	// it takes to serve it.
	Duplicates int
	Handler    time.Duration

	// Folder is the storm's own, and Number counts its processes from 0.
	Folder string
	Number int
}

// Outcome is what a process has seen. Its times are those of the machine's one
// clock.
type Outcome struct {
	// Runs counts handlers that ran here; Committed is when the Commit of one
	// that did began, and Commit how long it took.
	Runs      int
	Committed time.Time
	Commit    time.Duration
	// Answered holds when each duplicate had the right answer, Failed why each
	// other had not.
	Answered []time.Time
	Failed   []string
	// Held is how many pool connections were in use, by others than the handler,
	// while all waited: the fewer that were seen early and late, for one may just
	// be looking.
	Held int
	// What of heap and stacks is in use, in bytes: before, early and late in the
	// wait, and when all processes have their answers.
	Before, Early, Late, After uint64
}
