package plan

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/pgidem/pgidem/torture/history"
)

// Kind is a kind of fault.
type Kind string

// The kinds that are drawn.
const (
	Kill              Kind = "kill"               // SIGKILL to a server, started again later
	Freeze            Kind = "freeze"             // SIGSTOP to a server, SIGCONT later
	LoseHost          Kind = "lose-host"          // a server is gone and its network with it: nobody hears of its end
	ClockJump         Kind = "clock-jump"         // a server's wall clock is set
	TerminateBackend  Kind = "terminate-backend"  // pg_terminate_backend of one of the servers'
	TerminateListener Kind = "terminate-listener" // the same, of one that listens; in Redis, of one that is subscribed
	RestartPostgres   Kind = "restart-postgres"   // an immediate stop, and a start
	RestartRedis      Kind = "restart-redis"      // SIGKILL, and a start
	Cut               Kind = "cut"                // all connections of a link are cut
	CutInside         Kind = "cut-inside"         // they are cut after some more bytes
	SilenceToServer   Kind = "silence-to-server"  // nothing arrives that the server of the link sends on
	SilenceToClient   Kind = "silence-to-client"  // nothing comes back
	Delay             Kind = "delay"              // each packet comes late
	Slow              Kind = "slow-bytes"         // bytes trickle
	Refuse            Kind = "refuse"             // no new connections
	ReadOnly          Kind = "read-only"          // nobody may write the tables
	FullDisk          Kind = "full-disk"          // the tables' file system is full
	LockTable         Kind = "lock-table"         // somebody locks the table of the records
)

// Fault is a fault to be injected.
type Fault struct {
	Kind Kind
	// At counts from the start of the run, Lasts from At.
	At    time.Duration
	Lasts time.Duration
	// Server is the number of the server, from 1, that it is aimed at; 0: all.
	Server int
	// Redis: the link to Redis is meant, not the one to PostgreSQL.
	Redis bool
	// Size is what the kind makes of it: bytes, bytes a second, milliseconds, or
	// seconds of a clock.
	Size int
	// Harsh: a cut is a reset, and what a silence held back is lost.
	Harsh bool
}

// habit is how often a kind comes, and how it is drawn.
type habit struct {
	kind      Kind
	perMinute int
	least     time.Duration
	most      time.Duration
	size      [2]int
	all       bool // aimed at no single server
	link      bool // befalls a link
}

var habits = []habit{
	{kind: Kill, perMinute: 8, most: 1500 * time.Millisecond},
	{kind: Freeze, perMinute: 6, least: 50 * time.Millisecond, most: 5 * time.Second},
	{kind: LoseHost, perMinute: 3, least: 500 * time.Millisecond, most: 6 * time.Second},
	{kind: ClockJump, perMinute: 8, least: 500 * time.Millisecond, most: 5 * time.Second, size: [2]int{-7 * 86400, 7 * 86400}},
	{kind: TerminateBackend, perMinute: 40, all: true},
	{kind: TerminateListener, perMinute: 10, all: true},
	{kind: RestartPostgres, perMinute: 3, most: 500 * time.Millisecond, all: true},
	{kind: Cut, perMinute: 12, link: true},
	{kind: CutInside, perMinute: 25, most: 300 * time.Millisecond, size: [2]int{1, 1500}, link: true},
	{kind: SilenceToServer, perMinute: 6, least: 100 * time.Millisecond, most: 4 * time.Second, link: true},
	{kind: SilenceToClient, perMinute: 6, least: 100 * time.Millisecond, most: 4 * time.Second, link: true},
	{kind: Delay, perMinute: 6, least: 300 * time.Millisecond, most: 2 * time.Second, size: [2]int{5, 200}, link: true},
	{kind: Slow, perMinute: 6, least: 300 * time.Millisecond, most: 2 * time.Second, size: [2]int{500, 20000}, link: true},
	{kind: Refuse, perMinute: 4, least: 100 * time.Millisecond, most: 2 * time.Second, link: true},
	{kind: ReadOnly, perMinute: 3, least: 100 * time.Millisecond, most: 1500 * time.Millisecond, all: true},
	{kind: FullDisk, perMinute: 3, least: 300 * time.Millisecond, most: 1500 * time.Millisecond, all: true},
	{kind: LockTable, perMinute: 3, least: 100 * time.Millisecond, most: 2500 * time.Millisecond, all: true},
}

var redisHabit = habit{kind: RestartRedis, perMinute: 3, most: 500 * time.Millisecond, all: true}

// Kinds are the kinds of faults that runs of the mode have.
func Kinds(mode string) (kinds []Kind) {
	for _, h := range habitsOf(mode) {
		kinds = append(kinds, h.kind)
	}
	return kinds
}

func habitsOf(mode string) []habit {
	if mode == history.Redis {
		return append(slices.Clone(habits), redisHabit)
	}
	return habits
}

// Faults draws the schedule of a run, in the order of its times. Every kind
// occurs in a run of a minute, and no two faults that would undo each other
// overlap.
func Faults(seed uint64, mode string, servers int, duration time.Duration) []Fault {
	random := stream(seed, schedule)
	var faults []Fault
	for _, h := range habitsOf(mode) {
		for range max(1, int(float64(h.perMinute)*duration.Minutes())) {
			faults = append(faults, h.draw(random, mode, servers, duration))
		}
	}
	return apart(faults, duration)
}

func (h habit) draw(random *rand.Rand, mode string, servers int, duration time.Duration) Fault {
	f := Fault{Kind: h.kind, At: between(random, duration/50, duration*19/20), Lasts: h.least, Harsh: random.IntN(2) == 0}
	if h.most > h.least {
		f.Lasts = between(random, h.least, h.most)
	}
	if h.size[1] > h.size[0] {
		f.Size = h.size[0] + random.IntN(h.size[1]-h.size[0])
	}
	if !h.all {
		f.Server = random.IntN(servers) + 1
	}
	if mode == history.Redis {
		f.Redis = h.kind == TerminateListener || h.link && random.IntN(3) > 0
	}
	return f
}

// apart moves faults that claim the same thing behind each other. What would
// then come after the end of the run is left out.
func apart(faults []Fault, duration time.Duration) []Fault {
	byTime := func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Lasts, b.Lasts))
	}
	slices.SortStableFunc(faults, byTime)
	free := make(map[string]time.Duration)
	kept := faults[:0]
	for _, f := range faults {
		for _, claim := range f.Claims() {
			f.At = max(f.At, free[claim])
		}
		for _, claim := range f.Claims() {
			free[claim] = f.At + f.Lasts + breather
		}
		if f.At < duration {
			kept = append(kept, f)
		}
	}
	slices.SortStableFunc(kept, byTime)
	return kept
}

// breather is what lies between two faults that claim the same thing: a server
// must be up again before it can be killed again.
const breather = time.Second

// Claims name what a fault has for itself while it lasts, in the order in which
// it takes them: no two faults with one claim must be in force at once.
func (f Fault) Claims() []string {
	process := fmt.Sprint("process ", f.Server)
	links := []string{fmt.Sprint("link ", f.Server, " to postgres"), fmt.Sprint("link ", f.Server, " to redis")}
	switch f.Kind {
	case Kill, Freeze, ClockJump:
		return []string{process}
	case LoseHost:
		return append(links, process)
	case RestartPostgres, ReadOnly, FullDisk, LockTable:
		return []string{"postgres"}
	case RestartRedis:
		return []string{"redis"}
	case TerminateBackend, TerminateListener, Cut:
		return nil
	}
	if f.Redis {
		return links[1:]
	}
	return links[:1]
}
