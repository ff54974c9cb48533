package main

import (
	"bytes"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/pgidem/pgidem/examples/payments"
	"github.com/pgidem/pgidem/internal/pgserver/pgtest"
)

func TestWholeDemo(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		options options
		holds   bool
		want    string
	}{
		"Postgres":   {options{store: storePostgres}, true, "60 keys → 60 payments, 0 duplicates, 0 lost"},
		"Sabotaged":  {options{store: storePostgres, sabotage: true}, false, "60 keys → 61 payments, 1 duplicates, 0 lost"},
		"MemoryOnly": {options{store: storeMemory}, true, "STORE=memory promises one execution"},
		"Leased":     {options{store: storeLeased}, true, "STORE=leased promises at most one live attempt"},
		"Redis":      {options{store: storeRedis}, true, "STORE=redis promises at most one live attempt"},
		// A lease leaves room for a payment that another process made again, not for
		// a copy that none has made.
		"LeasedSabotaged": {options{store: storeLeased, sabotage: true}, false, "The promise does not hold"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			o := test.options
			o.keys, o.duplicates, o.seed, o.lease = 60, 4, 7, 2*time.Second
			holds, err := run(t.Context(), o, &screen{out: &out, begun: time.Now()})
			if err != nil || holds != test.holds || !strings.Contains(out.String(), test.want) {
				t.Errorf("holds: %v, %v\n%s", holds, err, &out)
			}
			if !strings.Contains(out.String(), "killed (SIGKILL)") || !strings.Contains(out.String(), "started again") {
				t.Errorf("no server was killed and started again\n%s", &out)
			}
		})
	}
}

// The checker reads a real ledger, in which one row is one too many.
func TestVerdictFailsOnADuplicateRow(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	pool := pgtest.Open(t, url)
	if err := payments.SetUp(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, 5)
	for _, p := range w.ledger.payments {
		const sql = `
WITH debited AS (UPDATE accounts SET balance = balance - $2 WHERE id = $3 RETURNING balance)
INSERT INTO payments (id, amount, account, currency, reference, balance)
SELECT $1, $2, $3, $4, $5, balance FROM debited`
		if _, err := pool.Exec(t.Context(), sql, p.ID, p.Amount, p.Account, p.Currency, p.Reference); err != nil {
			t.Fatal(err)
		}
	}
	check := func() *verdict {
		l, err := readLedger(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		if l.runs != int64(len(l.payments)) || len(l.balances) != payments.AccountCount {
			t.Errorf("%d runs, %d payments, %d accounts", l.runs, len(l.payments), len(l.balances))
		}
		w.ledger = l
		return w.judge(storePostgres)
	}
	if v := check(); !v.holds() {
		t.Errorf("before: %v %q", v, v.faults)
	}
	if err := sabotage(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	if v := check(); v.holds() || v.duplicates != 1 || len(v.faults) != 1 {
		t.Errorf("after: %v %q", v, v.faults)
	}
}

func TestSameSeedSamePlan(t *testing.T) {
	t.Parallel()
	o := options{keys: 50, duplicates: 5, seed: 3}
	first, again := plan(o), plan(o)
	if !reflect.DeepEqual(first, again) {
		t.Error("two plans of one seed differ")
	}
	o.seed++
	if reflect.DeepEqual(first, plan(o)) {
		t.Error("plans of two seeds are the same")
	}
}

// Otherwise two payments would be one for the servers.
func TestPlanHasNoKeyTwiceInOneTenant(t *testing.T) {
	t.Parallel()
	seen := make(map[[2]string]bool)
	for _, p := range plan(options{keys: 500, duplicates: 2, seed: 1}) {
		id := [2]string{p.tenant, p.key}
		if seen[id] {
			t.Fatalf("%v is there twice", id)
		}
		seen[id] = true
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	noEnv := func(string) string { return "" }
	o, err := parseOptions(nil, noEnv, io.Discard)
	if err != nil || o.keys < 200 || o.duplicates < 2 || o.seed == 0 || o.store != storePostgres {
		t.Errorf("defaults: %+v, %v", o, err)
	}
	memory := func(name string) string { return map[string]string{"STORE": "memory"}[name] }
	if o, err := parseOptions(nil, memory, io.Discard); err != nil || o.store != storeMemory {
		t.Errorf("STORE=memory: %+v, %v", o, err)
	}
	lease := func(name string) string { return map[string]string{"STORE": "redis", "LEASE": "3s"}[name] }
	if o, err := parseOptions(nil, lease, io.Discard); err != nil || o.store != storeRedis || o.lease != 3*time.Second {
		t.Errorf("STORE=redis LEASE=3s: %+v, %v", o, err)
	}
	if _, err := parseOptions(nil, func(string) string { return "soon" }, io.Discard); err == nil {
		t.Error("LEASE=soon was taken")
	}
	for _, args := range []string{"-keys=0", "-duplicates=1", "-store=mysql", "-lease=10ms", "-lease=1m", "-seed=x", "fast"} {
		if _, err := parseOptions([]string{args}, noEnv, io.Discard); err == nil {
			t.Errorf("%s was taken", args)
		}
	}
}

func TestNumbersAndPercentiles(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1 000", 1234567: "1 234 567", -1000: "-1 000"} {
		if got := number(n); got != want {
			t.Errorf("number(%d) is %q", n, got)
		}
	}
	var l latencies
	if l.percentile(50) != 0 {
		t.Error("percentile of nothing is not 0")
	}
	for n := 100; n >= 0; n-- {
		l.add(time.Duration(n))
	}
	if l.percentile(50) != 50 || l.percentile(99) != 99 {
		t.Errorf("p50 %d, p99 %d", l.percentile(50), l.percentile(99))
	}
}
