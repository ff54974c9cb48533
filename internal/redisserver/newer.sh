#!/bin/sh
# Puts a newer server than this Debian has into a folder, to run the tests against
# it. It takes that of the release trixie, needs root, mmdebstrap and the network,
# installs nothing, and is no part of `make test`:
#
#   internal/redisserver/newer.sh valkey /tmp/valkey     # or: redis /tmp/redis8
#   PGIDEM_REDIS_BIN=/tmp/valkey/bin go test -race ./redisstore/
set -eu
[ $# = 2 ] || { sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 2; }
name=$1
mkdir -p "$2"
folder=$(cd "$2" && pwd)

case $name in
  valkey) packages=valkey-server,valkey-tools ;;
  redis) packages=redis-server,redis-tools ;;
  *) echo "neither valkey nor redis: $name" >&2; exit 2 ;;
esac
mmdebstrap --variant=extract --include="$packages" trixie "$folder/tree"
chmod 755 "$folder" "$folder/tree" # the server runs as somebody else than root

# A binary of another release runs with that release's libraries only. They are
# not named in the environment, which this machine's own programs would heed.
tree=$folder/tree/usr
libraries=$(dirname "$(find "$tree/lib" -name libc.so.6)")
loader=$(find "$tree/lib" "$tree/lib64" -name 'ld-linux-*.so.*' 2>/dev/null | head -n 1)
mkdir -p "$folder/bin"
for program in server cli; do
  cat > "$folder/bin/redis-$program" <<EOF
#!/bin/sh
exec "$loader" --library-path "$libraries" "$(find "$tree/bin" -name "$name-$program")" "\$@"
EOF
  chmod 755 "$folder/bin/redis-$program"
done
"$folder/bin/redis-server" --version
