#!/usr/bin/env bash
# Makes the folder that the image is built from, without a registry, a package archive or root:
#   compose/make-base.sh [FOLDER]        FOLDER is build/compose unless told; compose.yaml looks there
#
# The image starts from nothing (FROM scratch) and gets what this machine already has: the built broker, exactly the
# shared libraries it was linked against (as ldd says, so their versions cannot differ), and a shell with a few tools
# for the entry point and `docker exec`. The archive is reproducible, so an unchanged broker hits the build cache.
set -euo pipefail

here="$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)"
broker="${ORDEAL_BIN:-$here/../build/dev/bin}/ordeal-broker"
target="${1:-$here/../build/compose}"
[[ -x "$broker" ]] || { echo "make-base: $broker is not built: ./ordeal build" >&2; exit 3; }

root="$(mktemp -d)"
trap 'rm -rf "$root"' EXIT

# Merged /usr, as Debian lays it out: a library that ldd names under /lib lands in /usr/lib through the links.
mkdir -p "$root"/usr/{bin,sbin,lib,lib64} "$root"/{tmp,proc,sys,dev,etc/ordeal,var/lib/ordeal}
for link in bin sbin lib lib64; do ln -s "usr/$link" "$root/$link"; done

install -m 755 "$broker" "$root/usr/bin/ordeal-broker"
install -m 755 "$here/start-broker.sh" "$root/usr/bin/start-broker"
install -m 644 "$here/broker.properties" "$root/etc/ordeal/broker.properties"
for tool in sh cat ls mkdir chown sleep; do install -m 755 "$(readlink -f -- "$(type -P "$tool")")" "$root/usr/bin/$tool"; done

# Copies what ldd resolves for every program above (the loader too, which it prints without an arrow) to the same path.
linked="$(ldd "$root"/usr/bin/ordeal-broker "$root"/usr/bin/{sh,cat,ls,mkdir,chown,sleep})"
if grep 'not found' <<< "$linked" >&2; then echo "make-base: libraries are missing here" >&2; exit 3; fi
awk '$3 ~ /^\// { print $3 } $1 ~ /^\// && $1 !~ /:$/ { print $1 }' <<< "$linked" | sort -u | while read -r library; do
  mkdir -p "$root${library%/*}"
  install -m 755 "$library" "$root$library"
done

chmod 755 "$root"
chmod 1777 "$root/tmp"
printf 'root:x:0:0:root:/:/bin/sh\nordeal:x:1000:1000::/var/lib/ordeal:/bin/sh\n' > "$root/etc/passwd"
printf 'root:x:0:\nordeal:x:1000:\n' > "$root/etc/group"

mkdir -p "$target"
tar -C "$root" --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -cf "$target/root.tar" .
cp "$here/Dockerfile" "$target/Dockerfile"
du -h "$target/root.tar" | awk '{ print "make-base: " $1 " in " $2 }' >&2
