# shellcheck shell=sh
# Shared by redis.sh and sentinel.sh. PEERS: the names of all pods, in their order. SELF: this one's. PASSWORD_FILE.

password=$(cat "$PASSWORD_FILE")

# A name is known a moment after its pod has begun; Sentinel refuses to start with one that is not.
await_name() {
    tries=0
    until getent ahosts "$1" >/dev/null; do
        tries=$((tries + 1))
        [ "$tries" -lt 120 ] || { echo "the name $1 is not known" >&2; exit 1; }
        sleep 0.5
    done
}

# The primary that most of the other sentinels name; where none answers it is the first start, and the first peer.
find_primary() {
    named=
    for peer in $PEERS; do
        [ "$peer" != "$SELF" ] || continue
        answer=$(REDISCLI_AUTH=$password timeout 2 redis-cli -h "$peer" -p 26379 --raw \
            sentinel get-master-addr-by-name carrel 2>/dev/null | head -n 1) || answer=
        for candidate in $PEERS; do
            # Anything else is a complaint.
            [ "$answer" != "$candidate" ] || named="$named $answer"
        done
    done
    if [ -z "$named" ]; then
        # shellcheck disable=SC2086 # one word for each
        set -- $PEERS
        echo "$1"
    else
        # shellcheck disable=SC2086 # one line for each
        printf '%s\n' $named | sort | uniq -c | sort -rn | awk 'NR == 1 { print $2 }'
    fi
}
