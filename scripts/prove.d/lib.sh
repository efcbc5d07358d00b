# shellcheck shell=bash
# Shared by the proofs: what they print. Source it after scripts/lib/common.sh.

# What a proof found, one line each: result, step, figure.
proof_rows=()
proof_failed=

# note STEP FIGURE: something that was measured or found.
note() {
    proof_rows+=("$(printf 'ok\t%s\t%s' "$1" "$2")")
    say "$1: $2"
}

# flaw STEP FIGURE: something that is not as it should be. The proof goes on, so that one run shows all that is wrong.
flaw() {
    proof_failed=yes
    proof_rows+=("$(printf 'FAILED\t%s\t%s' "$1" "$2")")
    say "FAILED: $1: $2" >&2
}

# bound STEP VALUE LIMIT UNIT: a figure that must not exceed its limit.
bound() {
    local text="$2 $4 (at most $3)"
    if awk -v value="$2" -v limit="$3" 'BEGIN { exit !(value <= limit) }'; then note "$1" "$text"; else flaw "$1" "$text"; fi
}

# check STEP FIGURE COMMAND…: the command must succeed.
check() {
    local step=$1 figure=$2
    shift 2
    if "$@"; then note "$step" "$figure"; else flaw "$step" "$figure"; fi
}

# Prints the table; fails when something was not as it should be.
proof_table() {
    local width=0 row step
    for row in "${proof_rows[@]}"; do
        step=$(cut -f 2 <<<"$row")
        if [ "${#step}" -gt "$width" ]; then width=${#step}; fi
    done
    printf '\n%s\n' "$1"
    for row in "${proof_rows[@]}"; do
        printf '  %-7s %-*s  %s\n' "$(cut -f 1 <<<"$row")" "$width" "$(cut -f 2 <<<"$row")" "$(cut -f 3- <<<"$row")"
    done
    [ -z "$proof_failed" ]
}

# Milliseconds since some moment in the past.
now_ms() { date +%s%3N; }

# seconds_since MILLISECONDS: with one decimal.
seconds_since() { awk -v from="$1" -v to="$(now_ms)" 'BEGIN { printf "%.1f", (to - from) / 1000 }'; }
