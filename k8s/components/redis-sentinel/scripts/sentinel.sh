#!/bin/sh
# Starts a sentinel that watches the primary the others name.
set -eu
here=$(dirname "$0")
# shellcheck source=k8s/components/redis-sentinel/scripts/lib.sh
. "$here/lib.sh"

await_name "$SELF"
primary=$(find_primary)
await_name "$primary"
umask 077
{
    echo "bind ${BIND:-* -::*}"
    echo "port 26379"
    echo "dir $DATA"
    echo "requirepass $password"
    echo "sentinel sentinel-pass $password"
    # The same identity after every start, else the dead ones count for the majority.
    echo "sentinel myid $(printf %s "$SELF" | sha1sum | cut -c 1-40)"
    echo "sentinel resolve-hostnames yes"
    echo "sentinel announce-hostnames yes"
    echo "sentinel announce-ip $SELF"
    echo "sentinel monitor carrel $primary 6379 2"
    echo "sentinel auth-pass carrel $password"
    echo "sentinel down-after-milliseconds carrel 5000"
    # A vote that two candidates split is held again after twice this time; there is next to nothing to copy.
    echo "sentinel failover-timeout carrel 6000"
    echo "sentinel parallel-syncs carrel 1"
} >"$DATA/sentinel.conf"
exec redis-server "$DATA/sentinel.conf" --sentinel
