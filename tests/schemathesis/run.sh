#!/bin/sh
# Sends made-up requests, right ones and wrong ones, to every operation of docs/openapi.json on a simulated
# room, and compares every answer with the description: no server errors, no answer of another shape or
# status, nothing wrong accepted, nothing right refused. cargo xtask schemathesis calls it, and says in
# SCHEMATHESIS and DIVVYD where the two programs are; PYTHON is any.
#
#   tests/schemathesis/run.sh [MORE OPTIONS OF schemathesis run]
set -eu
cd "$(dirname "$0")/../.."
place=$(mktemp -d)
: >"$place/settings.toml"
port=$("$PYTHON" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"$DIVVYD" --sim a16-pair --state-dir "$place/state" --socket "$place/socket" \
    --listen "127.0.0.1:$port" --settings "$place/settings.toml" 2>"$place/log" &
daemon=$!
trap 'kill "$daemon" 2>/dev/null || true; wait "$daemon" 2>/dev/null || true; rm -rf "$place"' EXIT
waited=0
until [ -S "$place/socket" ]; do
    waited=$((waited + 1))
    [ "$waited" -lt 600 ] || { cat "$place/log"; exit 1; }
    sleep 0.1
done
# The stream has no end; tests/product/api.rs reads it. What is kept of a run would bring old requests into
# the next one. One worker: several share what the tool caches, and it does not guard that.
HYPOTHESIS_STORAGE_DIRECTORY="$place/hypothesis" SCHEMATHESIS_HOOKS=tests/schemathesis/hooks.py \
    "$SCHEMATHESIS" run docs/openapi.json \
    --url "http://127.0.0.1:$port" --header "Authorization: Bearer $(cat "$place/state/token")" \
    --exclude-path /v1/stream --exclude-checks ignored_auth --workers 1 "$@" || failed=$?
if grep -q panicked "$place/log"; then
    cat "$place/log"
    exit 1
fi
exit "${failed:-0}"
