#!/bin/sh
# Puts a newer server than this Debian has into a folder, to run the tests against
# it; what that needs stands in ../localproc/newer.sh:
#
#   internal/redisserver/newer.sh valkey /tmp/valkey     # or: redis /tmp/redis8
#   PGIDEM_REDIS_BIN=/tmp/valkey/bin go test -race ./redisstore/
#
# It is no part of `make test`. Where that folder has one already it does nothing.
set -eu
[ $# = 2 ] || { sed -n '2,8s/^# \{0,1\}//p' "$0" >&2; exit 2; }
case $1 in
  valkey | redis) ;;
  *) echo "neither valkey nor redis: $1" >&2; exit 2 ;;
esac
exec "$(dirname "$0")/../localproc/newer.sh" "$2" "$1-server,$1-tools" \
  "bin/redis-server=$1-server" "bin/redis-cli=$1-cli"
