#!/usr/bin/env bash
# Brings the three brokers up, writes and reads through them, stops one, reads again, takes everything down.
# Exit: 0 it works, 1 it does not, 77 no Docker engine answers here (the test that calls this then counts as skipped).
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")"

timeout 20 docker info >/dev/null 2>&1 || { echo "smoke: no Docker engine answers here"; exit 77; }
if docker compose version >/dev/null 2>&1; then compose=(docker compose)
elif command -v docker-compose >/dev/null; then compose=(docker-compose)
else echo "smoke: the engine answers but docker compose is missing"; exit 77; fi
compose+=(-f compose.yaml -p "ordeal-smoke-$$")

./make-base.sh

finish() {
  local code=$?
  ((code == 0)) || "${compose[@]}" logs --no-color --tail 30 >&2 || true
  "${compose[@]}" down -v >/dev/null 2>&1 || true
  exit "$code"
}
trap finish EXIT
"${compose[@]}" up --build -d

brokers=10.78.0.11:9092,10.78.0.12:9092,10.78.0.13:9092
until_works() {  # until_works SECONDS COMMAND...
  local limit=$((SECONDS + $1)); shift
  until "$@"; do ((SECONDS < limit)) || { echo "smoke: gave up: $*" >&2; return 1; }; sleep 1; done
}
listed() { [[ "$(timeout 20 kcat -b "$brokers" -L 2>/dev/null | grep -c ' broker [123] at ')" == 3 ]]; }
# Keys spread the records over every partition: without them they may all land where the stopped broker does not lead.
produce() { seq 1 1000 | sed 's/.*/&:&/' | timeout 40 kcat -b "$brokers" -P -K: -t smoke -X acks=all -X message.timeout.ms=20000; }
# Retried sends may have written a record twice; none may be missing.
read_back() { [[ "$(timeout 60 kcat -b "$brokers" -C -t smoke -o beginning -e -q | sort -n | uniq | wc -l)" == 1000 ]]; }

until_works 60 listed
until_works 60 produce
# Once: acknowledged by all replicas means readable now.
read_back || { echo "smoke: acknowledged records are missing" >&2; exit 1; }
"${compose[@]}" stop n1
until_works 30 read_back
echo "smoke: 1000 records written, read, and read again with one broker stopped"
