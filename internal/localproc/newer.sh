#!/bin/sh
# Puts programs that are newer than this Debian's into a folder:
#
#   newer.sh FOLDER PACKAGE[,PACKAGE...] NAME=PROGRAM...
#
# takes the packages of the release trixie, and makes FOLDER/NAME run the PROGRAM
# in them. It needs root, the network and mmdebstrap, which it installs where it is
# missing; on this machine it installs nothing else. Where all of them are there
# already it does nothing.
set -eu
[ $# -ge 3 ] || { sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 2; }
mkdir -p "$1"
folder=$(CDPATH= cd -- "$1" && pwd)
packages=$2
shift 2
fail() { echo "newer.sh: no newer $packages: $1" >&2; exit 1; }

ready() {
  for program; do
    [ -x "$folder/${program%%=*}" ] && "$folder/${program%%=*}" --version || return 1
  done
}
if ready "$@"; then exit 0; fi

[ "$(id -u)" = 0 ] || fail "mmdebstrap needs root"
# Another run would remove under this one's hands what it has fetched.
exec 8>>"$folder/lock"
flock -w 900 8 || fail "another run on $folder does not end"
if ready "$@"; then exit 0; fi
if ! command -v mmdebstrap >/dev/null; then
  command -v apt-get >/dev/null || fail "this is no Debian, and mmdebstrap is not installed"
  # One installation at a time, as everybody here: apt-get fails on a lock of its own.
  exec 9>>"${TMPDIR:-/tmp}/pgidem-install.lock"
  flock -w 300 9 || fail "another installation does not end"
  { apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 install -y --no-upgrade --no-install-recommends mmdebstrap; } >&2 \
    || fail "mmdebstrap cannot be installed"
  exec 9>&-
fi
rm -rf "$folder/tree"
for program; do rm -f "$folder/${program%%=*}"; done
mmdebstrap --variant=extract --include="$packages" trixie "$folder/tree" \
  || fail "the release trixie cannot be fetched"
chmod 755 "$folder" "$folder/tree" # they run as somebody else than root

# A binary of another release runs with that release's libraries only. They are
# not named in the environment, which this machine's own programs would heed.
tree=$folder/tree/usr
libraries=$(dirname "$(find "$tree/lib" -name libc.so.6)")
loader=$(find "$tree/lib" "$tree/lib64" -name 'ld-linux-*.so.*' 2>/dev/null | head -n 1)
for program; do
  launcher=$folder/${program%%=*}
  binary=$(find "$tree/bin" "$tree/sbin" -name "${program#*=}" 2>/dev/null | head -n 1)
  [ -n "$binary" ] || fail "they have no ${program#*=}"
  mkdir -p "$(dirname "$launcher")"
  cat > "$launcher" <<END
#!/bin/sh
exec "$loader" --library-path "$libraries" "$binary" "\$@"
END
  chmod 755 "$(dirname "$launcher")" "$launcher"
done
ready "$@" || fail "they do not run here"
