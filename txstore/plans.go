package txstore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// statement is a statement of the Store's own. Its text gives every parameter a
// type, so that nobody has to ask the server for it.
type statement struct {
	sql  string
	name string // on connections that keep it prepared
}

// newStatement names a statement by its text: Stores that share a connection
// share what is equal, and nothing else.
func newStatement(sql string) *statement {
	sum := sha256.Sum256([]byte(sql))
	return &statement{sql: sql, name: "pgidem_" + hex.EncodeToString(sum[:12])}
}

// plans is what a connection keeps for the Stores that use it.
type plans struct {
	named    bool            // statements may be prepared under a name, and stay so
	tracer   pgx.BatchTracer // of the pool, or nil
	prepared map[string]*pgconn.StatementDescription
	// ready is the first of the statements that were asked for last, all of
	// which are prepared.
	ready *statement
	batch batch // what is under way on it, or was last
}

// plansOn returns what conn keeps. To ask conn for its configuration is to copy
// it, so this is done once.
func plansOn(conn *pgx.Conn) *plans {
	const key = "pgidem"
	data := conn.PgConn().CustomData()
	if p, ok := data[key].(*plans); ok {
		return p
	}
	config := conn.Config()
	p := &plans{
		// With any other mode the user has said that no statement may keep a
		// name: a pooler may give the connection to somebody else.
		named:    config.DefaultQueryExecMode == pgx.QueryExecModeCacheStatement,
		prepared: make(map[string]*pgconn.StatementDescription),
	}
	p.tracer, _ = config.Tracer.(pgx.BatchTracer)
	data[key] = p
	return p
}

// prepare sees to it that conn has all of list prepared, in at most one round
// trip.
func prepare(ctx context.Context, conn *pgx.Conn, list []*statement) error {
	p := plansOn(conn)
	if !p.named || p.ready == list[0] {
		return nil
	}
	var missing []*statement
	for _, s := range list {
		twice := func(m *statement) bool { return m.name == s.name } // of one text
		if p.prepared[s.name] == nil && !slices.ContainsFunc(missing, twice) {
			missing = append(missing, s)
		}
	}
	if len(missing) > 0 {
		if err := p.add(ctx, conn.PgConn(), missing); err != nil {
			return err
		}
	}
	p.ready = list[0]
	return nil
}

// noRows stands for the fields of a statement that returns no rows. pgconn asks for
// those of a statement without any each time, in case that they were not known
// when it was prepared; ours are known.
var noRows = make([]pgconn.FieldDescription, 1)

func (p *plans) add(ctx context.Context, conn *pgconn.PgConn, missing []*statement) (err error) {
	pipeline := conn.StartPipeline(ctx)
	defer func() {
		if closeErr := pipeline.Close(); err == nil {
			err = closeErr
		}
	}()
	for _, s := range missing {
		pipeline.SendPrepare(s.name, s.sql, nil)
	}
	if err := pipeline.Sync(); err != nil {
		return err
	}
	for _, s := range missing {
		result, err := pipeline.GetResults()
		if err != nil {
			return err
		}
		description, ok := result.(*pgconn.StatementDescription)
		if !ok {
			return fmt.Errorf("txstore: preparing was answered with %T", result)
		}
		description.Name = s.name // the answer does not repeat it
		if len(description.Fields) == 0 {
			description.Fields = noRows
		}
		p.prepared[s.name] = description
	}
	return nil
}

// deallocate makes the server forget what was prepared. To name what it does not
// know is no error.
func (p *plans) deallocate(ctx context.Context, conn *pgconn.PgConn) error {
	pipeline := conn.StartPipeline(ctx)
	for name := range p.prepared {
		pipeline.SendDeallocate(name)
	}
	if err := pipeline.Sync(); err != nil {
		_ = pipeline.Close()
		return err
	}
	return pipeline.Close()
}

// forget forgets what was prepared on a connection that has it no more.
func (p *plans) forget() {
	p.ready = nil
	clear(p.prepared)
}

// stolen is for a COMMIT that was refused because its statements were gone: the
// handler has deallocated them. It would do so again, and every request with it
// would fail; so nothing keeps a name on this connection any more.
func (p *plans) stolen() { p.named = false }
