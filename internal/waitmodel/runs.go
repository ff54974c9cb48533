package waitmodel

// Finding is what spin says about a run. The zero value is [Nothing].
type Finding string

// What spin can find.
const (
	Nothing    Finding = ""
	Assertion  Finding = "an assertion is violated"
	Stuck      Finding = "somebody waits for ever" // an invalid end state
	BusyLoop   Finding = "it goes round in circles"
	Incomplete Finding = "the search was not completed"
)

// String says it in words.
func (f Finding) String() string {
	if f == Nothing {
		return "nothing wrong"
	}
	return string(f)
}

// Run is one exhaustive search.
type Run struct {
	// Name says what is searched.
	Name string
	// Switches are the model's, without -D.
	Switches []string
	// Loops: look for endless loops, and not for states without an exit.
	Loops bool
	// Want is what spin has to find.
	Want Finding
}

// twoKeys: the third request wants another key than the first two.
const twoKeys = "KEYS=4"

// Protocol are the runs that must find nothing.
func Protocol() []Run {
	return []Run{
		{Name: "three requests, no poll", Switches: []string{"RESPONSES", "IDLES", "IMPATIENT=1"}},
		{Name: "three requests, no poll: loops", Switches: []string{"RESPONSES", "IDLES"}, Loops: true},
		{Name: "four requests, no poll", Switches: []string{"N=4", "STORES=12"}},
		{Name: "two keys of one number, no poll", Switches: []string{"STORES=6", twoKeys}},
		{Name: "two keys in one store, no poll", Switches: []string{twoKeys, "RESPONSES", "IDLES", "IMPATIENT=0"}},
		{Name: "polls at any time", Switches: []string{"POLLS=1", "RESPONSES"}},
		{Name: "the listener is lost twice, no poll", Switches: []string{"DROPS=2", "IDLES"}},
		{Name: "the listener is lost, two keys, no poll", Switches: []string{twoKeys, "DROPS=1"}},
		{Name: "a process is killed", Switches: []string{"CRASHES=1", "RESPONSES", "POLL"}},
		{Name: "a process is killed: loops", Switches: []string{"CRASHES=1", "POLL"}, Loops: true},
		{Name: "a connection is lost", Switches: []string{"CUTS=1", "POLL"}},
		{Name: "a connection is lost: loops", Switches: []string{"N=2", "STORES=2", "CUTS=1", "RESPONSES", "POLL"}, Loops: true},
		{Name: "all that at once, two requests", Switches: []string{"N=2", "STORES=2", "CUTS=1", "CRASHES=1", "DROPS=1", "POLL"}},
		{Name: "without locks, four requests", Switches: []string{"N=4", "STORES=12", "NO_LOCKS", "RESPONSES"}},
		{Name: "without locks, killed", Switches: []string{"NO_LOCKS", "RESPONSES", "CRASHES=1", "POLL"}},
		{Name: "without locks, cut", Switches: []string{"NO_LOCKS", "CUTS=1"}},
		{Name: "a lease among transactions, no poll", Switches: []string{"LEASED=2"}},
		{Name: "a lease, another key: loops", Switches: []string{"N=2", "STORES=2", "KEYS=2", "LEASED=1", "POLL"}, Loops: true},
	}
}

// Wrong are variants of the protocol with a hole, which must be found, and what
// the protocol is known not to promise.
func Wrong() []Run {
	return []Run{
		{Name: "the waiter probes and then registers", Switches: []string{"WRONG_PROBE_BEFORE_REGISTER"}, Want: Stuck},
		{Name: "the wake check before the COMMIT does not keep the wait lock", Switches: []string{"WRONG_WAKE_NOT_KEPT"}, Want: Stuck},
		{Name: "the look-up has the snapshot of the lock", Switches: []string{"WRONG_ONE_SNAPSHOT"}, Want: Assertion},
		{Name: "a replay lets go and tells nobody", Switches: []string{"WRONG_PROBER_SILENT", "STORES=6", twoKeys}, Want: Stuck},
		{Name: "who got no lock runs the wake check", Switches: []string{"WRONG_SELF_NOTIFY"}, Loops: true, Want: BusyLoop},
		{Name: "no unique key, no locks", Switches: []string{"WRONG_NO_UNIQUE_KEY", "NO_LOCKS"}, Want: Assertion},
		{Name: "no unique key, with locks", Switches: []string{"WRONG_NO_UNIQUE_KEY", "RESPONSES"}, Want: Assertion},
		{Name: "reconnected, nobody probes", Switches: []string{"WRONG_RECONNECT_SILENT", "DROPS=1"}, Want: Stuck},
		{Name: "a time-out speaks of what it has not seen", Switches: []string{"WRONG_TIMEOUT_UNSEEN", "IMPATIENT=1"}, Want: Assertion},
		{Name: "handed over before the COMMIT", Switches: []string{"WRONG_HAND_OVER_EARLY"}, Want: Assertion},

		{Name: "limit: killed, no poll", Switches: []string{"CRASHES=1"}, Want: Stuck},
		{Name: "limit: a connection is lost, no poll", Switches: []string{"CUTS=1"}, Want: Stuck},
		{Name: "limit: a lease, two keys, no poll", Switches: []string{"STORES=6", twoKeys, "LEASED=1"}, Want: Stuck},
		{Name: "limit: what is said of a response", Switches: []string{"LIMIT_RESPONSE", "N=2", "STORES=2", "CUTS=1", "RESPONSES", "POLL"}, Want: Assertion},
	}
}
