#!/bin/sh
# Puts a newer PgBouncer than this Debian has into a folder, one that follows
# prepared statements; what that needs stands in ../localproc/newer.sh:
#
#   internal/pgbouncer/newer.sh /tmp/pgbouncer
#   PGIDEM_PGBOUNCER=/tmp/pgbouncer/pgbouncer PGIDEM_TEST_POOLER=prepared go test ./txstore/
#
# Where that folder has one already it does nothing.
set -eu
[ $# = 1 ] || { sed -n '2,8s/^# \{0,1\}//p' "$0" >&2; exit 2; }
exec "$(dirname "$0")/../localproc/newer.sh" "$1" pgbouncer pgbouncer=pgbouncer
