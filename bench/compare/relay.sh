#!/usr/bin/env bash
# Durable stores a second, ours beside the floor: a server that reads, checks the same signatures
# and waits for fdatasync, and does nothing else. In turn, in one run, on loopback.
#
#   PEERS=DIR bench/compare/relay.sh [SENDERS...]     1 16 128 unless given
#
# PEERS      the folder of load generators, with `peerbench` and `floorsrv` in PEERS_BIN or its bin/
# SREMP      the binary (target/release/sremp)
# SECS, ROUNDS, WINDOW   seconds of each, rounds, stores under way of each sender (3, 3, 1)
set -euo pipefail
cd "$(dirname "$0")/../.."
: "${PEERS:?the folder of the load generators}"
export PEERS_BIN=${PEERS_BIN:-$PEERS/bin}
PEERS_RUN=$(mktemp -d)
export PEERS_RUN
trap 'rm -rf "$PEERS_RUN"' EXIT
sremp=${SREMP:-target/release/sremp}
seconds=${SECS:-3} window=${WINDOW:-1}

# Stores a second of the floor that checks signatures as $1 says, with $2 senders.
floor() {
    FLOORARGS="--noise $1" "$PEERS/servers.sh" start floor >/dev/null
    "$PEERS_BIN/peerbench" store --secs "$seconds" --senders "$2" --window "$window" \
        --pid "$("$PEERS/servers.sh" pid floor)" --hard 60 \
        --proto floor --noise --addr 127.0.0.1:27001 2>/dev/null |
        sed -n 's/.*: \([0-9]*\) acked.*/\1/p'
    "$PEERS/servers.sh" stop floor >/dev/null
}

ours() {
    "$sremp" bench relay --senders "$1" --window "$window" --seconds "$seconds" --json |
        sed 's/.*"stores_per_s":\([0-9]*\).*/\1/'
}

printf '%8s %16s %16s %10s %7s\n' senders 'floor, one by one' 'floor, batches' ours ratio
for _ in $(seq "${ROUNDS:-3}"); do
    for senders in "${@:-1}" $([ $# -gt 0 ] || echo 16 128); do
        one=$(floor --verify "$senders")
        batch=$(floor --verifybatch "$senders")
        own=$(ours "$senders")
        best=$((one > batch ? one : batch))
        printf '%8s %16s %16s %10s %7s\n' "$senders" "$one" "$batch" "$own" \
            "$(awk "BEGIN { printf \"%.2f\", $own / $best }")"
    done
done
