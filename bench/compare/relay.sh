#!/usr/bin/env bash
# A relay beside others, in turn, in one run, on loopback, each of them durable: what it acknowledges
# is on the disk. The floor is a server that reads, checks the same signatures and waits for
# fdatasync, and does nothing else; RabbitMQ has quorum queues, NATS `sync_interval: always`, Redis
# streams `appendfsync always`, all three over TLS 1.3 and none with signatures.
#
#   PEERS=DIR bench/compare/relay.sh [store|pipe|flow|latency|drain|connect|idle]...     all unless given
#
#   store     stores a second of 1, 16 and 128 senders (SENDERS)
#   pipe      the same of 128, each with 8 under way
#   flow      stored, pushed and confirmed, a second: 128 senders, 100 readers
#   latency   from a sender to a reader, 50 a second: p50 / p99 in ms
#   drain     a backlog of 20,000 (DRAIN) fetched and confirmed by one reader, a second
#   connect   processor time of the server for connecting and registering, µs each
#   idle      resident memory of the server for 10,000 (IDLE) idle connections, KiB each
#
# A figure with ! is spoilt: something else used the processors meanwhile.
#
# PEERS      the folder of load generators, with `peerbench`, `floorsrv` and `nats-server` in
#            PEERS_BIN or its bin/
# SYSTEMS    of floor1 floor ours rabbitq nats redis; all unless given. floor1 checks signatures one
#            by one, floor those of a commit together
# SREMP      the binary (target/release/sremp)
# SECS, ROUNDS   seconds of each measurement, rounds (4, 1)
set -euo pipefail
cd "$(dirname "$0")/../.."
: "${PEERS:?the folder of the load generators}"
export PEERS_BIN=${PEERS_BIN:-$PEERS/bin}
PEERS_RUN=$(mktemp -d)
export PEERS_RUN
# some of the servers run as users of their own
chmod 755 "$PEERS_RUN"
started=
finish() {
    [ -z "$started" ] || "$PEERS/servers.sh" stop "$started" >/dev/null 2>&1 || true
    rm -rf "$PEERS_RUN"
}
trap finish EXIT
# what was built for $SREMP, and as many files as the connections need
sremp=${SREMP:-target/release/sremp}
ulimit -n "$(ulimit -Hn)"
read -ra systems <<<"${SYSTEMS:-floor1 floor ours rabbitq nats redis}"
seconds=${SECS:-4}

start() {
    FLOORARGS="--noise ${2:-}" TLS=1 "$PEERS/servers.sh" start "$1" >/dev/null
    started=$1
}

stop() {
    "$PEERS/servers.sh" stop "$started" >/dev/null
    started=
}

# Runs the load generator of others: the system, and what it is to do.
others() {
    local system=$1 server=$1 options
    shift
    case $system in
    floor1) server=floor options='--proto floor --noise --addr 127.0.0.1:27001' ;;
    floor) options='--proto floor --noise --addr 127.0.0.1:27001' ;;
    rabbitq) server=rabbit options='--proto amqp --quorum --addr 127.0.0.1:25674' ;;
    nats) options='--proto nats --addr 127.0.0.1:24222' ;;
    redis) options='--proto redis --addr 127.0.0.1:26380' ;;
    esac
    case $system in
    floor1) start floor --verify ;;
    floor) start floor --verifybatch ;;
    *) start "$server" && options="$options --ca $PEERS_RUN/tls/ca.pem" ;;
    esac
    # shellcheck disable=SC2086  # options are several words
    "$PEERS_BIN/peerbench" "$@" --pid "$("$PEERS/servers.sh" pid "$server")" --hard 120 \
        $options 2>>"$PEERS_RUN/errors" >"$PEERS_RUN/said" || true
    stop
    awk 'match($0, /others_cpu=[0-9.]+/) { if (substr($0, RSTART + 11, RLENGTH - 11) > 0.3) exit 1 }' \
        "$PEERS_RUN/said" || touch "$PEERS_RUN/spoilt"
    cat "$PEERS_RUN/said"
}

# The figure $1 of our report, whose other arguments are ours.
ours() {
    local figure=$1
    shift
    "$sremp" bench relay --json "$@" | sed -n "s/.*\"$figure\":\([0-9][0-9.]*\).*/\1/p"
}

# One row of one system; nothing for what it cannot do.
measure() {
    local what=$1 system=$2 senders=${3:-128}
    case $what,$system in
    store,ours) ours stores_per_s --senders "$senders" --seconds "$seconds" ;;
    pipe,ours) ours stores_per_s --senders "$senders" --window 8 --seconds "$seconds" ;;
    flow,ours) ours cycles_per_s --senders "$senders" --online --seconds "$seconds" ;;
    latency,ours)
        "$sremp" bench relay --json --senders 1 --mailboxes 1 --online --rate 50 --seconds 10 |
            sed -n 's/.*"delivery_p50_ms":\([0-9][0-9.]*\).*"delivery_p99_ms":\([0-9][0-9.]*\).*/\1 \2/p' |
            awk '{ printf "%.2f/%.2f\n", $1, $2 }'
        ;;
    drain,ours) ours drained_per_s --drain "${DRAIN:-20000}" ;;
    connect,ours) ours cpu_us_each --idle 4000 ;;
    idle,ours) ours resident_kib_each --idle "${IDLE:-10000}" ;;
    flow,floor* | latency,floor* | drain,floor*) ;;
    store,*)
        others "$system" store --secs "$seconds" --senders "$senders" |
            sed -n 's/.*: \([0-9]*\) acked.*/\1/p'
        ;;
    pipe,*)
        others "$system" store --secs "$seconds" --senders "$senders" --window 8 |
            sed -n 's/.*: \([0-9]*\) acked.*/\1/p'
        ;;
    flow,*)
        others "$system" store --online --mailboxes 100 --secs "$seconds" --senders "$senders" |
            sed -n 's/.*: \([0-9]*\) acked.*/\1/p'
        ;;
    latency,*)
        others "$system" latency --secs 10 --rate 50 |
            sed -n 's|.*e2e p50=\([0-9.]*\) p99=\([0-9.]*\).*|\1/\2|p'
        ;;
    drain,*)
        others "$system" drain --count "${DRAIN:-20000}" | sed -n 's|.* = \([0-9]*\) msg/s.*|\1|p'
        ;;
    connect,*)
        others "$system" connect --par 16 --secs "$seconds" |
            sed -n 's|.*cores \([0-9.]*\)us/msg.*|\1|p'
        ;;
    idle,*)
        others "$system" idle --conns "${IDLE:-10000}" | sed -n 's|.*, \([0-9.]*\) kB/conn rss.*|\1|p'
        ;;
    *) echo "no such measurement: $what" >&2 && return 1 ;;
    esac
}

row() {
    local label=$1 figure spoilt
    shift
    printf '%-14s' "$label"
    for system in "${systems[@]}"; do
        rm -f "$PEERS_RUN/spoilt"
        figure=$(measure "$1" "$system" "${@:2}")
        spoilt=
        [ ! -e "$PEERS_RUN/spoilt" ] || spoilt='!'
        # whole numbers need no digits behind the point
        case $figure in *.*/*) ;; [0-9][0-9][0-9]*.*) figure=${figure%.*} ;; *.*) figure=$(printf %.1f "$figure") ;; esac
        printf ' %12s' "${figure:--}$spoilt"
    done
    echo
}

printf '%-14s' ''
printf ' %12s' "${systems[@]}"
echo
for _ in $(seq "${ROUNDS:-1}"); do
    for what in "${@:-store}" $([ $# -gt 0 ] || echo pipe flow latency drain connect idle); do
        case $what in
        store) for senders in ${SENDERS:-1 16 128}; do row "store $senders" store "$senders"; done ;;
        pipe) row 'pipe 128 x 8' pipe ;;
        *) row "$what" "$what" ;;
        esac
    done
done
