#!/bin/sh
# Puts a newer PgBouncer than this Debian has into a folder, one that follows
# prepared statements. It takes that of the release trixie, needs root, the network
# and mmdebstrap, which it installs where it is missing:
#
#   internal/pgbouncer/newer.sh /tmp/pgbouncer
#   PGIDEM_PGBOUNCER=/tmp/pgbouncer/pgbouncer PGIDEM_TEST_POOLER=prepared go test ./txstore/
#
# Where that folder has one already it does nothing.
set -eu
[ $# = 1 ] || { sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 2; }
fail() { echo "newer.sh: no newer PgBouncer: $1" >&2; exit 1; }

mkdir -p "$1"
folder=$(cd "$1" && pwd)
program=$folder/pgbouncer
if [ -x "$program" ] && "$program" --version; then exit 0; fi

[ "$(id -u)" = 0 ] || fail "mmdebstrap needs root"
if ! command -v mmdebstrap >/dev/null; then
  command -v apt-get >/dev/null || fail "this is no Debian, and mmdebstrap is not installed"
  # One installation at a time, as everybody here: apt-get fails on a lock of its own.
  exec 9>"${TMPDIR:-/tmp}/pgidem-install.lock"
  flock -w 300 9 || fail "another installation does not end"
  { apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-upgrade --no-install-recommends mmdebstrap; } >&2 \
    || fail "mmdebstrap cannot be installed"
  exec 9>&-
fi
rm -rf "$folder/tree" "$program"
mmdebstrap --variant=extract --include=pgbouncer trixie "$folder/tree" \
  || fail "the release trixie cannot be fetched"
chmod 755 "$folder" "$folder/tree" # it runs as somebody else than root

# A binary of another release runs with that release's libraries only. They are
# not named in the environment, which this machine's own programs would heed.
tree=$folder/tree/usr
libraries=$(dirname "$(find "$tree/lib" -name libc.so.6)")
loader=$(find "$tree/lib" "$tree/lib64" -name 'ld-linux-*.so.*' 2>/dev/null | head -n 1)
cat > "$program" <<END
#!/bin/sh
exec "$loader" --library-path "$libraries" "$tree/sbin/pgbouncer" "\$@"
END
chmod 755 "$program"
"$program" --version
