package txstore_test

import (
	"context"
	"net/url"
	"strings"

	"github.com/jackc/pgx/v5"
)

// login returns the URL for a new role that may do no more than a service needs.
func (w *world) login() string {
	w.Helper()
	u, err := url.Parse(w.url)
	if err != nil {
		w.Fatal(err)
	}
	u.User = url.UserPassword(w.role(), "service")
	return u.String()
}

// role makes such a role and returns its name.
func (w *world) role() string {
	w.Helper()
	u, err := url.Parse(w.url)
	if err != nil {
		w.Fatal(err)
	}
	role := "service_" + strings.ToLower(strings.TrimPrefix(u.Path, "/"))
	name := pgx.Identifier{role}.Sanitize()
	w.exec(`CREATE ROLE ` + name + ` LOGIN PASSWORD 'service'`)
	w.Cleanup(func() {
		// Its rights lie in the database, which is removed after this.
		if _, err := w.admin.Exec(context.Background(), `DROP OWNED BY `+name+`; DROP ROLE `+name, pgx.QueryExecModeSimpleProtocol); err != nil {
			w.Errorf("drop the role: %v", err)
		}
	})
	w.exec(`GRANT SELECT, INSERT, UPDATE, DELETE ON pgidem_records TO ` + name)
	w.exec(`GRANT ALL ON payments, payments_id_seq TO ` + name)
	return role
}
