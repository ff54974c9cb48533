package pgbouncer

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// setup is what stands in the files, but for what only the start decides.
type setup struct {
	users string
	lines []string
}

// settings of a pooler before upstream. Every database and role of it can be
// reached; those that the users file does not know are looked up.
func settings(upstream *url.URL, version Version, options Options) setup {
	port := upstream.Port()
	if port == "" {
		port = "5432"
	}
	password, _ := upstream.User.Password()
	role := upstream.User.Username()
	size := options.PoolSize
	if size == 0 {
		size = defaultPoolSize
	}
	lines := []string{
		"[databases]",
		fmt.Sprintf("* = host=%s port=%s", upstream.Hostname(), port),
		"[pgbouncer]",
		"pool_mode = transaction",
		"auth_type = trust",
		"auth_user = " + role,
		"admin_users = " + role,
		"listen_addr = 127.0.0.1",
		"unix_socket_dir =",
		"max_client_conn = 4000",
		fmt.Sprintf("default_pool_size = %d", size),
		// A server that restarts is to be found again soon.
		"server_login_retry = 0.1",
		"log_connections = 0",
		"log_disconnections = 0",
	}
	if version.Prepares() {
		statements := 0
		if options.Prepared {
			statements = 500
		}
		lines = append(lines, fmt.Sprintf("max_prepared_statements = %d", statements))
	}
	return setup{users: fmt.Sprintf("%q %q\n", role, password), lines: lines}
}

func (s setup) file(port int, users string) string {
	lines := append(s.lines[:len(s.lines):len(s.lines)], "auth_file = "+users, "listen_port = "+strconv.Itoa(port))
	return strings.Join(lines, "\n") + "\n"
}
