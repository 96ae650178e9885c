#!/usr/bin/env bash
# Brings the three brokers up, writes and reads through them, stops one, reads again, takes everything down.
# Exit: 0 it works, 1 it does not, 77 no Docker engine answers here (the test that calls this then counts as skipped).
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")"

docker info >/dev/null 2>&1 || { echo "smoke: no Docker engine answers here"; exit 77; }
if docker compose version >/dev/null 2>&1; then compose=(docker compose)
elif command -v docker-compose >/dev/null; then compose=(docker-compose)
else echo "smoke: the engine answers but docker compose is missing"; exit 77; fi
compose+=(-f compose.yaml -p "ordeal-smoke-$$")

# Without a registry the base image is made from Debian packages.
if ! docker image inspect "${ORDEAL_BASE:-debian:bookworm-slim}" >/dev/null 2>&1 && ! docker pull -q "${ORDEAL_BASE:-debian:bookworm-slim}" 2>/dev/null; then
  base="$(mktemp -d)"
  ./make-base.sh "$base"
  tar -C "$base" -c . | docker import - ordeal-base >/dev/null
  rm -rf "$base"
  export ORDEAL_BASE=ordeal-base ORDEAL_LIBRARIES=none
fi

finish() { "${compose[@]}" logs --no-color --tail 30 > "${TMPDIR:-/tmp}/ordeal-smoke.log" 2>&1 || true; "${compose[@]}" down -v >/dev/null 2>&1 || true; }
trap finish EXIT
"${compose[@]}" up --build -d

brokers=10.78.0.11:9092,10.78.0.12:9092,10.78.0.13:9092
until_works() {  # until_works SECONDS COMMAND...
  local limit=$((SECONDS + $1)); shift
  until "$@"; do ((SECONDS < limit)) || { echo "smoke: gave up: $*" >&2; return 1; }; sleep 1; done
}
listed() { [[ "$(kcat -b "$brokers" -L 2>/dev/null | grep -c ' broker [123] at ')" == 3 ]]; }
until_works 60 listed
produce() { seq 1 1000 | kcat -b "$brokers" -P -t smoke -X acks=all -X message.timeout.ms=20000; }
until_works 60 produce
read_back() { [[ "$(timeout 60 kcat -b "$brokers" -C -t smoke -o beginning -e -q | sort -n | uniq | wc -l)" == 1000 ]]; }
read_back
"${compose[@]}" stop n1
until_works 30 read_back
echo "smoke: 1000 records written, read, and read again with one broker stopped"
