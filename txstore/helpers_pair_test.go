package txstore_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/internal/pgserver"
	"github.com/pgidem/pgidem/internal/pgserver/pgtest"
	"github.com/pgidem/pgidem/txstore"
)

// pair is a primary with a standby, and two processes whose pools find the one
// of them that takes writes.
type pair struct {
	*world
	primary, standby *pgserver.Server
	services         []*service
	client           *http.Client

	// mu guards told: key → every body that came with a 201.
	mu   sync.Mutex
	told map[string][]string
	acks atomic.Int32
}

func newPair(t *testing.T, synchronous bool) *pair {
	t.Helper()
	var options pgserver.Options
	if synchronous {
		// From the start: not every backend heeds a later change at once.
		options.Settings = []string{"synchronous_standby_names=" + pgserver.StandbyName}
	}
	p := &pair{
		primary: pgtest.OwnServer(t, options),
		client:  &http.Client{Timeout: 5 * time.Second},
		told:    make(map[string][]string),
	}
	t.Cleanup(p.client.CloseIdleConnections)
	var err error
	if p.standby, err = pgserver.StartStandby(t.Context(), p.primary, pgserver.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.standby.Stop() })
	g := given{
		URL: bothHosts(t, pgtest.MigratedURL(t, p.primary), p.standby.URL()),
		Config: txstore.Config{
			CommitTimeout: 2 * time.Second, AcquireTimeout: time.Second, ReserveTimeout: time.Second,
			PollInterval: 50 * time.Millisecond,
		},
	}
	p.world = newWorld(t, g)
	p.exec(`CREATE TABLE payments (id serial PRIMARY KEY, key text NOT NULL, n int NOT NULL)`)
	for _, w := range []*world{p.world, p.process(g)} {
		p.services = append(p.services, w.serve(idem.Config{MaxHandlerTime: 5 * time.Second, WaitTimeout: 2 * time.Second}, w.payAtRandom))
	}
	return p
}

// bothHosts is the URL of the database on whichever of the two takes writes.
func bothHosts(tb testing.TB, primary, standby string) string {
	tb.Helper()
	p, err := url.Parse(primary)
	if err != nil {
		tb.Fatal(err)
	}
	s, err := url.Parse(standby)
	if err != nil {
		tb.Fatal(err)
	}
	return fmt.Sprintf("postgres://%s@%s,%s%s?sslmode=disable&connect_timeout=2&target_session_attrs=read-write",
		p.User, p.Host, s.Host, p.Path)
}

// payAtRandom pays, and answers something that no other run answers.
func (w *world) payAtRandom(rw http.ResponseWriter, r *http.Request) {
	n := rand.N(int32(1) << 30)
	err := w.store.InTx(r.Context(), func(tx pgx.Tx) error {
		_, err := tx.Exec(r.Context(), `INSERT INTO payments (key, n) VALUES ($1, $2)`, r.Header.Get("Idempotency-Key"), n)
		return err
	})
	if err != nil {
		http.Error(rw, err.Error(), http.StatusInternalServerError)
		return
	}
	rw.WriteHeader(http.StatusCreated)
	_, _ = fmt.Fprint(rw, n)
}

// request tries once, and notes a 201.
func (p *pair) request(s *service, key string) (paid bool) {
	request, err := http.NewRequestWithContext(context.Background(), http.MethodPost, s.url+"/payments", strings.NewReader("{}"))
	if err != nil {
		p.Error(err)
		return true
	}
	request.Header.Set("Idempotency-Key", key)
	response, err := p.client.Do(request)
	if err != nil {
		return false
	}
	body, err := io.ReadAll(response.Body)
	_ = response.Body.Close()
	if err != nil || response.StatusCode != http.StatusCreated {
		return false
	}
	p.acks.Add(1)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.told[key] = append(p.told[key], string(body))
	return true
}

// insist tries until it is paid or the test is over, at the two processes in
// turn.
func (p *pair) insist(key string, first int) {
	pause := time.NewTicker(20 * time.Millisecond)
	defer pause.Stop()
	for try := first; !p.request(p.services[try%2], key); try++ {
		select {
		case <-pause.C:
		case <-p.Context().Done():
			return
		}
	}
}

// storm makes clients pay with one key after the other, each by two requests at
// once, until stop is closed. The returned channel is closed when all have ended.
func (p *pair) storm(name string, clients int, stop <-chan struct{}) <-chan struct{} {
	var all sync.WaitGroup
	for c := range clients {
		all.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				case <-p.Context().Done():
					return
				default:
				}
				key := fmt.Sprintf("%s-%d-%d", name, c, i)
				var duplicate sync.WaitGroup
				duplicate.Go(func() { p.insist(key, 1) })
				p.insist(key, 0)
				duplicate.Wait()
			}
		})
	}
	return closed(&all)
}

// mustAcknowledge waits for so many more 201.
func (p *pair) mustAcknowledge(more int32) {
	p.Helper()
	want := p.acks.Load() + more
	eventually(p.TB, "requests are answered", func() bool { return p.acks.Load() >= want })
}

// findings compare what clients were told with what a database holds.
type findings struct {
	keys    int // with a 201
	lost    int // neither row nor record is there
	another int // the record is not what the client was told: it ran once more
	split   int // a row without its record, or the reverse, told or not
	doubled int // more than one row
}

func (p *pair) find() (f findings) {
	p.Helper()
	rows, err := p.admin.Query(p.Context(), `
		SELECT coalesce(r.key, p.key), coalesce(convert_from(r.body, 'UTF8'), ''), r.key IS NOT NULL, count(p.key),
		    coalesce(max(p.n)::text, '')
		FROM payments AS p FULL JOIN (SELECT * FROM pgidem_records WHERE status IS NOT NULL) AS r ON r.key = p.key
		GROUP BY 1, 2, 3`)
	if err != nil {
		p.Fatal(err)
	}
	var (
		key, body, n string
		recorded     bool
		payments     int
	)
	bodies := make(map[string]string)
	_, err = pgx.ForEachRow(rows, []any{&key, &body, &recorded, &payments, &n}, func() error {
		bodies[key] = body
		switch {
		case payments > 1:
			f.doubled++
		case payments == 0, !recorded, body != n:
			f.split++
		}
		return nil
	})
	if err != nil {
		p.Fatal(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	f.keys = len(p.told)
	for key, told := range p.told {
		body, there := bodies[key]
		if !there {
			f.lost++
			continue
		}
		for _, one := range told {
			if one != body {
				f.another++
				break
			}
		}
	}
	return f
}
