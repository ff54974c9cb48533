package pgserver_test

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgidem/pgidem/internal/pgserver"
)

func TestPromotedStandbyHasWhatThePrimaryHad(t *testing.T) {
	t.Parallel()
	// In force from the start: a later change is not seen by all at once.
	synchronous := pgserver.Options{Settings: []string{"synchronous_standby_names=" + pgserver.StandbyName}}
	primary, err := pgserver.StartOrInstall(t.Context(), synchronous)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = primary.Stop() })
	standby, err := pgserver.StartStandby(t.Context(), primary, pgserver.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = standby.Stop() })
	conn, err := pgx.Connect(t.Context(), primary.URL())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), "CREATE TABLE kept AS SELECT 1 AS n"); err != nil {
		t.Fatal(err)
	}
	if got := show(t, standby, "transaction_read_only"); got != "on" {
		t.Errorf("the standby's transaction_read_only is %s, want on", got)
	}
	if err := primary.Halt(); err != nil {
		t.Fatal(err)
	}
	if err := standby.Promote(t.Context()); err != nil {
		t.Fatal(err)
	}
	conn, err = pgx.Connect(t.Context(), standby.URL())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), "INSERT INTO kept VALUES (2)"); err != nil {
		t.Errorf("a write on the promoted standby: %v", err)
	}
}
