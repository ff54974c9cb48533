package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
	"flag"
	"sync/atomic"
	"crypto/rand"
	"net/http"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/internal/pgserver"
	"github.com/pgidem/pgidem/internal/testenv"
	"github.com/pgidem/pgidem/migrations"
	"github.com/pgidem/pgidem/txstore"
	"runtime/pprof"
)

const insertPayment = "INSERT INTO bench_payments (reference, amount) VALUES ($1, $2) RETURNING id"
const insertRecord = `INSERT INTO pgidem_records
	(attempt_id, stored_at, expires_at, status, format, key, request_hash, header, body)
VALUES
	($1::text::uuid, clock_timestamp(), clock_timestamp() + interval '24 hours', 201, 1, $2, $3, $4, $5)`

var (
	responseBody   = []byte(`{"id":123456,"account":"acct_1","amount":1250,"currency":"usd","reference":"order-42","balance":998750,"status":"ok"}`)
	responseHeader = http.Header{"Content-Type": {"application/json"}, "Location": {"/payments/123456"}}
	requestHash    = "v1:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
)

func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:16])
}

type g struct {
	pool  *pgxpool.Pool
	store *txstore.Store
	keys []string
}

func pay(ctx context.Context, tx pgx.Tx) error {
	var id int64
	return tx.QueryRow(ctx, insertPayment, "order-42", 1250).Scan(&id)
}
func (g *g) bare(ctx context.Context) error {
	return pgx.BeginFunc(ctx, g.pool, func(tx pgx.Tx) error { return pay(ctx, tx) })
}
func (g *g) floor(ctx context.Context) error {
	conn, err := g.pool.Acquire(ctx)
	if err != nil { return err }
	defer conn.Release()
	tx, err := conn.Begin(ctx)
	if err != nil { return err }
	if err := pay(ctx, tx); err != nil { return err }
	var b pgx.Batch
	b.Queue(insertRecord, newUUID(), newUUID(), requestHash, responseBody[:40], responseBody)
	b.Queue("COMMIT")
	return conn.SendBatch(ctx, &b).Close()
}
func (g *g) pgidem(ctx context.Context) error {
	ctx, _ = idem.WithAttempt(ctx, idem.AttemptConfig{MaxHandlerTime: 30 * time.Second})
	key := newUUID()
	_, fresh, err := g.store.Reserve(ctx, key, requestHash, 24*time.Hour)
	if err != nil || !fresh { return fmt.Errorf("fresh %t, %w", fresh, err) }
	if err := g.store.InTx(ctx, func(tx pgx.Tx) error { return pay(ctx, tx) }); err != nil { return err }
	return g.store.Commit(ctx, key, requestHash, idem.Cached{Status: http.StatusCreated, Header: responseHeader, Body: responseBody})
}
var rr atomic.Int64
func (g *g) replay(ctx context.Context) error {
	ctx, _ = idem.WithAttempt(ctx, idem.AttemptConfig{MaxHandlerTime: 30 * time.Second})
	key := g.keys[int(rr.Add(1))%len(g.keys)]
	c, fresh, err := g.store.Reserve(ctx, key, requestHash, 24*time.Hour)
	if err != nil || fresh || c == nil { return fmt.Errorf("fresh %t, %w", fresh, err) }
	return nil
}
func (g *g) sel(ctx context.Context) error {
	key := g.keys[int(rr.Add(1))%len(g.keys)]
	var hash string; var status int; var h, b []byte
	return g.pool.QueryRow(ctx, "SELECT request_hash, status, header, body FROM pgidem_records WHERE key = $1", key).Scan(&hash,&status,&h,&b)
}

func selfCPU() time.Duration {
	var r syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
func pgCPU(parent int) time.Duration {
	var sum int64
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, d := range dirs {
		b, err := os.ReadFile(d + "/stat")
		if err != nil { continue }
		s := string(b)
		i := strings.LastIndexByte(s, ')')
		f := strings.Fields(s[i+1:])
		if f[1] != strconv.Itoa(parent) { continue }
		ss, err := os.ReadFile(d + "/schedstat")
		if err != nil { continue }
		n, _ := strconv.ParseInt(strings.Fields(string(ss))[0], 10, 64)
		sum += n
	}
	return time.Duration(sum)
}
func med(v []float64) float64 { sort.Float64s(v); return v[len(v)/2] }
func low(v []float64) float64 { sort.Float64s(v); return v[len(v)/8] }

func main() {
	clients := flag.Int("c", 16, "")
	rounds := flag.Int("r", 7, "")
	slice := flag.Duration("t", 500*time.Millisecond, "")
	only := flag.String("only", "bare,floor,pgidem,replay,sel", "")
	prof := flag.String("prof", "", "")
	flag.Parse()
	ctx := context.Background()
	server, err := testenv.Postgres(ctx, pgserver.Options{Durable: true})
	if err != nil { panic(err) }
	defer server.Stop()
	if err := migrations.Up(ctx, server.URL()); err != nil { panic(err) }
	config, _ := pgxpool.ParseConfig(server.URL())
	config.MaxConns = int32(*clients + 4)
	config.MinConns = config.MaxConns
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil { panic(err) }
	pool.Exec(ctx, `CREATE TABLE IF NOT EXISTS bench_payments (
		id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
		reference  text NOT NULL,
		amount     bigint NOT NULL,
		created_at timestamptz NOT NULL DEFAULT now()
	)`)
	if _, err := pool.Exec(ctx, `create or replace function pgidem_open(h int4, k text) returns timestamptz language plpgsql as $f$
declare r pgidem_records;
begin
 if not pg_catalog.pg_try_advisory_xact_lock(1885955428, h) then return null; end if;
 select * into r from pgidem_records where key = k;
 if found then return null; end if;
 if pg_catalog.current_setting('idle_in_transaction_session_timeout') = '0' then
   perform pg_catalog.set_config('idle_in_transaction_session_timeout', '30500', true);
 end if;
 if pg_catalog.current_setting('client_connection_check_interval') = '0' then
   perform pg_catalog.set_config('client_connection_check_interval', '1s', true);
 end if;
 return pg_catalog.transaction_timestamp();
end $f$;
create or replace function pgidem_open2(h int4, k text) returns timestamptz language plpgsql as $f$
begin
 if not pg_catalog.pg_try_advisory_xact_lock(1885955428, h) then return null; end if;
 if exists (select from pgidem_records where key = k) then return null; end if;
 return pg_catalog.transaction_timestamp();
end $f$`); err != nil { panic(err) }
	store, err := txstore.New(pool, txstore.Config{})
	if err != nil { panic(err) }
	var pid int
	pool.QueryRow(ctx, "select pg_backend_pid()").Scan(&pid)
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	s := string(b)
	parent, _ := strconv.Atoi(strings.Fields(s[strings.LastIndexByte(s, ')')+1:])[1])
	G := &g{pool: pool, store: store}
	for range 2000 {
		k := newUUID()
		G.keys = append(G.keys, k)
		actx, _ := idem.WithAttempt(ctx, idem.AttemptConfig{MaxHandlerTime: 30 * time.Second})
		if _, _, err := store.Reserve(actx, k, requestHash, 24*time.Hour); err != nil { panic(err) }
		if err := store.Commit(actx, k, requestHash, idem.Cached{Status: 201, Header: responseHeader, Body: responseBody}); err != nil { panic(err) }
	}
	all := map[string]func(context.Context) error{"bare": G.bare, "floor": G.floor, "pgidem": G.pgidem, "replay": G.replay, "sel": G.sel, }
	names := strings.Split(*only, ",")
	rate := map[string][]float64{}
	gocpu := map[string][]float64{}
	pgcpu := map[string][]float64{}
	if *prof != "" { f, _ := os.Create(*prof); pprof.StartCPUProfile(f); defer pprof.StopCPUProfile(); fmt.Println("postmaster", parent) }
	for r := -1; r < *rounds; r++ {
		for i := range names {
			name := names[(i+r+len(names))%len(names)]
			f := all[name]
			var n atomic.Int64
			var wg sync.WaitGroup
			c0, p0, t0 := selfCPU(), pgCPU(parent), time.Now()
			for range *clients {
				wg.Go(func() {
					for time.Since(t0) < *slice {
						if err := f(ctx); err != nil { panic(err) }
						n.Add(1)
					}
				})
			}
			wg.Wait()
			el := time.Since(t0)
			c1, p1 := selfCPU(), pgCPU(parent)
			if r < 0 { continue }
			k := float64(n.Load())
			rate[name] = append(rate[name], k/el.Seconds())
			gocpu[name] = append(gocpu[name], float64(c1-c0)/k/1000)
			pgcpu[name] = append(pgcpu[name], float64(p1-p0)/k/1000)
		}
	}
	base := map[string]float64{}
	for _, n := range names { base[n] = med(rate[n]) }
	for _, n := range names {
		fmt.Printf("%-8s %8.0f/s  go %6.1f us  pg %6.1f us\n", n, base[n], low(gocpu[n]), low(pgcpu[n]))
	}
}
