package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgidem/pgidem/bench/internal/contend"
	"github.com/pgidem/pgidem/bench/internal/filling"
	"github.com/pgidem/pgidem/bench/internal/payment"
	"github.com/pgidem/pgidem/internal/record"
	"github.com/pgidem/pgidem/txstore"
)

const (
	scaleTTL = 2 * 24 * time.Hour
	// smallRows is what the empty table has, so that it can replay something.
	smallRows = 1000
)

// table is a records table in a schema of its own, beside others on one server.
type table struct {
	name  string
	keys  filling.Keys
	pool  *pgxpool.Pool
	store contend.Contender
	bare  contend.Contender // the plain SELECT, which a large table makes slower too
}

// runScale compares a table of millions of records with one that is as good as
// empty, for each kind of key.
func runScale(ctx context.Context, o options) error {
	var settings []string
	if o.buffers != "" {
		settings = append(settings, "shared_buffers="+o.buffers)
	}
	s, err := openStage(ctx, ownServer, settings...)
	if err != nil {
		return err
	}
	defer s.close()
	if err := checkRoom(os.TempDir(), o.rows); err != nil {
		return err
	}
	fmt.Println(s.facts)
	for _, name := range split(o.keys) {
		kind, err := filling.ParseKind(name)
		if err != nil {
			return fmt.Errorf("-keys: %w", err)
		}
		if err := s.scale(ctx, o, kind); err != nil {
			return err
		}
	}
	return nil
}

func (s *stage) scale(ctx context.Context, o options, kind filling.Kind) error {
	small, err := s.table(ctx, o, "small_"+string(kind), filling.Keys{Kind: kind, Count: smallRows, End: time.Now(), Seed: 1})
	if err != nil {
		return err
	}
	large, err := s.table(ctx, o, "large_"+string(kind), filling.Keys{Kind: kind, Count: o.rows, End: time.Now(), Seed: 2})
	if err != nil {
		return err
	}
	if err := printSizes(ctx, large); err != nil {
		return err
	}
	if err := settle(ctx, large.pool); err != nil {
		return err
	}
	for _, clients := range o.clients {
		for _, d := range duels {
			if err := d.run(ctx, o, clients, small, large); err != nil {
				return err
			}
		}
	}
	// The next kind of key is to have the memory for itself.
	_, err = large.pool.Exec(ctx, "DROP SCHEMA "+large.name+" CASCADE")
	return err
}

// settle brings a filled table to where one is that has been in use: what filling
// has left to be written is, and what fits into memory is there.
func settle(ctx context.Context, pool *pgxpool.Pool) error {
	for _, sql := range []string{
		"CHECKPOINT",
		"CREATE EXTENSION IF NOT EXISTS pg_prewarm SCHEMA public",
		"SELECT public.pg_prewarm('" + filling.Table + "')",
		"SELECT public.pg_prewarm('" + filling.Table + "_pkey')",
	} {
		if _, err := pool.Exec(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}

// table makes a schema with a records table, fills it, and opens a store on it.
func (s *stage) table(ctx context.Context, o options, schema string, keys filling.Keys) (*table, error) {
	admin, err := pgx.Connect(ctx, s.url)
	if err != nil {
		return nil, err
	}
	defer func() { _ = admin.Close(context.WithoutCancel(ctx)) }()
	if _, err := admin.Exec(ctx, "CREATE SCHEMA "+schema); err != nil {
		return nil, err
	}
	own, err := changeURL(s.url, func(u *url.URL) {
		q := u.Query()
		q.Set("search_path", schema)
		u.RawQuery = q.Encode()
	})
	if err != nil {
		return nil, err
	}
	if err := contend.Prepare(ctx, own); err != nil {
		return nil, err
	}
	t := &table{name: schema, keys: keys}
	if t.pool, err = s.pool(ctx, own, o.conns); err != nil {
		return nil, err
	}
	store, err := txstore.New(t.pool, txstore.Config{})
	if err != nil {
		return nil, err
	}
	s.onClose(store.Close)
	t.store, t.bare = contend.Store("txstore", store, store), contend.Bare(t.pool)
	return t, t.fill(ctx)
}

func (t *table) fill(ctx context.Context) error {
	began := time.Now()
	return filling.Fill(ctx, t.pool, t.keys, scaleTTL, func(done int) {
		fmt.Fprintf(os.Stderr, "%s: %d of %d records after %.0f s\n", t.name, done, t.keys.Count, time.Since(began).Seconds())
	})
}

func printSizes(ctx context.Context, t *table) error {
	size, err := filling.Measure(ctx, t.pool)
	if err != nil {
		return err
	}
	each := func(bytes int64) float64 { return float64(bytes) / float64(t.keys.Count) }
	own := len(payment.Body) + len(record.EncodeHeader(payment.Header()))
	fmt.Printf("\n%s: %d records; a record takes %.0f bytes: %.0f in the heap, %.0f in the index, %.1f elsewhere; its response has %d bytes, its key %d, its request hash %d\n",
		t.name, t.keys.Count, each(size.Heap+size.Index+size.Other), each(size.Heap), each(size.Index), each(size.Other),
		own, len(t.keys.At(0)), len(payment.Hash))
	return nil
}
