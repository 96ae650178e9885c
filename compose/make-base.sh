#!/usr/bin/env bash
# Makes a minimal Debian root file system for the broker's image out of Debian packages, without a registry:
#   compose/make-base.sh FOLDER        then  tar -C FOLDER -c . | docker import - ordeal-base
#
# It holds what ordeal-broker links against (as ldd says) plus a shell and coreutils for `docker exec`. Needs no root:
# packages are downloaded with apt and unpacked, not installed. Where a Debian base image can be had, skip this and build
# with --build-arg BASE=debian:bookworm-slim, which installs the libraries by name.
set -euo pipefail
shopt -s nullglob

here="$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)"
broker="${ORDEAL_BIN:-$here/../build/dev/bin}/ordeal-broker"
target="${1:?usage: compose/make-base.sh FOLDER}"
[[ -x "$broker" ]] || { echo "make-base: $broker is not built: ./ordeal build" >&2; exit 3; }

mkdir -p "$target" && target="$(cd -- "$target" && pwd)"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

# Which packages own the libraries that the broker loads. Debian 12 merged /usr: dpkg may know either path.
owners() {
  ldd "$broker" | awk '$3 ~ /^\// { print $3 } $1 ~ /^\// { print $1 }' | while read -r library; do
    local real
    real="$(readlink -f -- "$library")"
    { dpkg-query -S "$real" || dpkg-query -S "${real#/usr}"; } 2>/dev/null | head -n 1 | cut -d: -f1
  done | sort -u
}

mapfile -t packages < <(owners)
packages+=(base-files dash coreutils libc-bin libselinux1 libpcre2-8-0 libacl1 libattr1 libgmp10 tzdata)
mapfile -t packages < <(printf '%s\n' "${packages[@]}" | sort -u)
echo "make-base: ${#packages[@]} packages: ${packages[*]}" >&2

(cd "$work" && apt-get download -q "${packages[@]}" >&2)
# Merged /usr, as Debian lays it out; unpacking through these links puts everything under /usr.
mkdir -p "$target"/usr/{bin,sbin,lib,lib64} "$target"/{tmp,etc,var/lib/ordeal}
for link in bin sbin lib lib64; do ln -sfn "usr/$link" "$target/$link"; done
for package in "$work"/*.deb; do dpkg-deb --fsys-tarfile "$package" | tar -C "$target" -x --keep-directory-symlink; done
[[ -e "$target/bin/sh" ]] || ln -s dash "$target/usr/bin/sh"
chmod 1777 "$target/tmp"
printf 'root:x:0:0:root:/root:/bin/sh\nordeal:x:1000:1000::/var/lib/ordeal:/bin/sh\n' > "$target/etc/passwd"
printf 'root:x:0:\nordeal:x:1000:\n' > "$target/etc/group"
cp -L "$broker" "$target/usr/bin/ordeal-broker"
chroot_check="$(LD_LIBRARY_PATH="$target/usr/lib/x86_64-linux-gnu" ldd "$target/usr/bin/ordeal-broker" | grep -c 'not found' || true)"
[[ "$chroot_check" == 0 ]] || { echo "make-base: $chroot_check libraries are still missing" >&2; exit 3; }
rm -f "$target/usr/bin/ordeal-broker"
du -sh "$target" | awk '{ print "make-base: " $1 " in " $2 }' >&2
