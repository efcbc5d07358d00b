#!/bin/sh
# Starts Redis as what the sentinels say that it is.
set -eu
here=$(dirname "$0")
# shellcheck source=k8s/components/redis-sentinel/scripts/lib.sh
. "$here/lib.sh"

await_name "$SELF"
primary=$(find_primary)
umask 077
{
    echo "bind ${BIND:-* -::*}"
    echo "port 6379"
    echo "dir $DATA"
    echo 'save ""'
    echo "appendonly no"
    # Ids of jobs, at most a thousand in a queue.
    echo "maxmemory 128mb"
    echo "maxmemory-policy noeviction"
    echo "requirepass $password"
    echo "masterauth $password"
    echo "replica-announce-ip $SELF"
    echo "repl-diskless-sync-delay 0"
    # What the product uses, and what Sentinel and replication need.
    for command in DEBUG FLUSHALL KEYS; do
        echo "rename-command $command \"\""
    done
    if [ "$primary" != "$SELF" ]; then
        await_name "$primary"
        echo "replicaof $primary 6379"
    fi
} >"$DATA/redis.conf"
exec redis-server "$DATA/redis.conf"
