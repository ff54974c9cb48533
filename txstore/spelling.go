package txstore

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// spells returns an error if the server would take the bytes of key for another one.
// It takes them for what client_encoding says, which anybody can set on a connection,
// and of which it tells without being asked. All encodings agree on ASCII.
func spells(conn *pgx.Conn, key string) error {
	if isASCII(key) {
		return nil
	}
	pg := conn.PgConn()
	switch client := encoding(pg.ParameterStatus("client_encoding")); client {
	case "utf8", "unicode":
		return nil
	case "sqlascii": // as it comes
		if server := encoding(pg.ParameterStatus("server_encoding")); server == "utf8" || server == client {
			return nil
		}
	}
	return fmt.Errorf("%w: client_encoding %s: leave it at UTF8", errSpelling, pg.ParameterStatus("client_encoding"))
}

// errSpelling does not say which key: that may be a secret.
var errSpelling = errors.New("txstore: the connection would make another key of one that is not ASCII")

// mustSpell is spells for a connection of the pool, which does not keep such a one.
func mustSpell(ctx context.Context, conn *pgx.Conn, key string) error {
	err := spells(conn, key)
	if err != nil {
		_ = conn.Close(ctx)
	}
	return err
}

func isASCII(text string) bool {
	for i := range len(text) {
		if text[i] >= 0x80 {
			return false
		}
	}
	return true
}

// encoding returns the name of an encoding as all who write it agree on it.
func encoding(name string) string {
	return strings.NewReplacer("-", "", "_", "").Replace(strings.ToLower(name))
}
