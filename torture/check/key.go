package check

import (
	"cmp"
	"slices"
	"time"

	"github.com/pgidem/pgidem/torture/history"
)

// key is all that a run knows of one key.
type key struct {
	mode   string
	tenant string
	name   string
	ttl    time.Duration // of its records; 0: they stay
	// remembered: it is refused when its record has expired.
	remembered bool
	clock      int64   // the database's when the run began
	requests   []asked // by the time at which they were sent
	rows       []history.Row
}

// asked is a request with what its answer says.
type asked struct {
	history.Request
	effect effect
	// Of a final answer:
	digest  string
	receipt history.Row
}

// lastWord tells whether a's client need not ask again: it has a final answer, or
// knows that there is none any more.
func (a asked) lastWord() bool { return a.effect == final || a.effect == expired }

type keyName struct{ tenant, key string }

// keysOf sorts the run by key, in the order of their names.
func keysOf(run history.Run) []*key {
	byName := make(map[keyName]*key)
	find := func(tenant, name string) *key {
		id := keyName{tenant, name}
		if byName[id] == nil {
			byName[id] = &key{mode: run.Mode, tenant: tenant, name: name, clock: run.Clock}
		}
		return byName[id]
	}
	for _, r := range run.Requests {
		k := find(r.Tenant, r.Key)
		k.requests = append(k.requests, judge(run.Mode, r))
		k.ttl, k.remembered = max(k.ttl, r.TTL), k.remembered || r.Remembered
	}
	for _, row := range run.Rows {
		k := find(row.Tenant, row.Key)
		k.rows = append(k.rows, row)
	}
	keys := make([]*key, 0, len(byName))
	for _, k := range byName {
		slices.SortFunc(k.requests, func(a, b asked) int {
			return cmp.Or(cmp.Compare(a.Sent, b.Sent), cmp.Compare(a.ID, b.ID))
		})
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b *key) int {
		return cmp.Or(cmp.Compare(a.tenant, b.tenant), cmp.Compare(a.name, b.name))
	})
	return keys
}

func judge(mode string, r history.Request) asked {
	a := asked{Request: r, effect: effectOf(mode, r)}
	if a.effect == final {
		a.digest, a.receipt = digest(r), receiptOf(r)
	}
	return a
}

func (k *key) transactional() bool { return k.mode == history.Transactional }

// finals are the requests that have a final answer.
func (k *key) finals() []asked {
	return k.where(func(a asked) bool { return a.effect == final })
}

func (k *key) where(match func(asked) bool) []asked {
	var found []asked
	for _, a := range k.requests {
		if match(a) {
			found = append(found, a)
		}
	}
	return found
}

// finding is about k, the given requests, and all of its rows.
func (k *key) finding(rule Rule, detail string, requests ...asked) Finding {
	f := Finding{Rule: rule, Tenant: k.tenant, Key: k.name, Detail: detail}
	for _, a := range requests {
		f.Requests = append(f.Requests, a.ID)
	}
	for _, row := range k.rows {
		f.Rows = append(f.Rows, row.ID)
	}
	return f
}
