#!/usr/bin/env bash
# A rendezvous server beside nginx that serves a static record over TLS 1.3 with a P-256 certificate,
# in turn, in one run, on loopback, each with its load on the same processors.
#
#   PEERS=DIR bench/compare/rendezvous.sh
#
#   lookups        a second, over 64 connections that are kept; the p99 of an answer in ms
#   connect        processor time of the server for a new connection and one lookup, µs
#   idle           memory of the server for each of 10,000 connections that are silent, KiB
#
# nginx's load (wrk) is in C and looks at nothing; ours decodes each answer and checks the signatures of
# one in 1,024. nginx's memory is the anonymous part, ours all that is resident.
#
# PEERS      the folder of load generators, with nginx.sh and mkcert.sh; nginx-light and wrk of Debian
# SREMP      the binary (target/release/sremp)
# ROUNDS     rounds (1)
set -euo pipefail
cd "$(dirname "$0")/../.."
: "${PEERS:?the folder of the load generators}"
PEERS_RUN=$(mktemp -d)
export PEERS_RUN
trap 'rm -rf "$PEERS_RUN"' EXIT
# nginx serves as a user of its own
chmod 755 "$PEERS_RUN"
sremp=${SREMP:-target/release/sremp}
ulimit -n "$(ulimit -Hn)"
"$PEERS/mkcert.sh" >/dev/null

# name value, a line each, of what nginx.sh says
nginx() {
    "$PEERS/nginx.sh" | awk '
        function ms(time) {
            if (time ~ /us$/) return time / 1000
            if (time ~ /ms$/) return time + 0
            return time * 1000
        }
        $1 == "99%" { print "lookup_p99_ms", ms($2) }
        /requests in/ { requests = $1 }
        /^Requests\/sec/ && !seen++ { print "lookups_per_s", $2 }
        /^server cpu us total/ { print "lookup_cpu_us", $NF / requests }
        /^new connection each/ { print "connect_cpu_us", $NF / requests }
        /^idle 10000/ { print "idle_kib_each", $(NF - 1) }'
}

ours() {
    # as nginx.sh does with nginx and its load
    nice -n 5 "$sremp" bench rendezvous lookups connect idle --json |
        grep -o '"[a-z0-9_]*":[0-9][0-9.]*' | tr -d '"' | tr ':' ' '
}

printf '%-16s %12s %12s %8s\n' '' nginx ours ratio
for _ in $(seq "${ROUNDS:-1}"); do
    nginx >"$PEERS_RUN/nginx.said"
    ours >"$PEERS_RUN/ours.said"
    awk 'NR == FNR { theirs[$1] = $2; next }
        $1 in theirs { printf "%-16s %12.1f %12.1f %8.2f\n", $1, theirs[$1], $2, $2 / theirs[$1] }' \
        "$PEERS_RUN/nginx.said" "$PEERS_RUN/ours.said"
done
