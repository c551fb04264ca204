#!/bin/sh
# Sends made-up requests, right ones and wrong ones, to every operation of docs/openapi.json on a simulated
# room, and compares every answer with the description: no server errors, no answer of another shape or
# status, nothing wrong accepted, nothing right refused. Needs python3 with venv, and a built divvyd.
#
#   tests/schemathesis/run.sh [MORE OPTIONS OF schemathesis run]
set -eu
cd "$(dirname "$0")/../.."
tools=target/schemathesis
divvyd=${DIVVYD:-target/debug/divvyd}
[ -x "$divvyd" ] || cargo build --package divvy-server
if [ ! -x "$tools/bin/schemathesis" ]; then
    python3 -m venv "$tools"
    "$tools/bin/pip" install --quiet "schemathesis==4.32.5"
fi
place=$(mktemp -d)
: >"$place/settings.toml"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"$divvyd" --sim a16-pair --state-dir "$place/state" --socket "$place/socket" \
    --listen "127.0.0.1:$port" --settings "$place/settings.toml" 2>"$place/log" &
daemon=$!
trap 'kill "$daemon" 2>/dev/null || true; wait "$daemon" 2>/dev/null || true; rm -rf "$place"' EXIT
waited=0
until [ -S "$place/socket" ]; do
    waited=$((waited + 1))
    [ "$waited" -lt 600 ] || { cat "$place/log"; exit 1; }
    sleep 0.1
done
# The stream has no end; tests/product/api.rs reads it.
SCHEMATHESIS_HOOKS=tests/schemathesis/hooks.py "$tools/bin/schemathesis" run docs/openapi.json \
    --url "http://127.0.0.1:$port" --header "Authorization: Bearer $(cat "$place/state/token")" \
    --exclude-path /v1/stream --exclude-checks ignored_auth --workers 2 "$@"
if grep -q panicked "$place/log"; then
    cat "$place/log"
    exit 1
fi
