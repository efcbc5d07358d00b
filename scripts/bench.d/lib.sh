# shellcheck shell=bash
# Shared by the measurements of this folder; source it after scripts/lib/common.sh.

# A figure for the table at the end of scripts/bench: result FIGURE TARGET MEASURED ok|MISSED|info|skipped
result() {
    local bench
    bench=$(basename "$0")
    printf '%-8s %s: %s%s\n' "$4" "$1" "$3" "${2:+ (asked: $2)}"
    if [ -n "${CARREL_BENCH_RESULTS:-}" ]; then
        printf '%s\t%s\t%s\t%s\t%s\n' "$bench" "$1" "$2" "$3" "$4" >>"$CARREL_BENCH_RESULTS"
    fi
}

# A number that a program printed as `figure NAME NUMBER`: figure NAME FILE
figure() { awk -v name="$1" '$1 == "figure" && $2 == name { print $3 }' "$2"; }

# Ends a measurement that cannot be made here: skip WHY
skip() {
    result "all of it" "" "$*" skipped
    exit 0
}

# ok or MISSED: verdict MEASURED at-most|at-least TARGET
verdict() {
    awk -v measured="$1" -v how="$2" -v target="$3" \
        'BEGIN { print ((how == "at-most" ? measured + 0 <= target + 0 : measured + 0 >= target + 0) ? "ok" : "MISSED") }'
}

# Python with the peers: bench_python MODULES PACKAGE… sets $python, and fails when that cannot be had.
bench_python() { bench_venv bench "$@"; }

# The same in a folder of its own, for what cannot live with the others: bench_venv FOLDER MODULES PACKAGE…
bench_venv() {
    local venv=${XDG_CACHE_HOME:-$HOME/.cache}/carrel/$1 modules=$2
    shift 2
    python=$venv/bin/python
    if "$python" -c "import importlib.util as u; assert all(u.find_spec(m) for m in '$modules'.split())" 2>/dev/null; then
        return 0
    fi
    say "installing $* into $venv (several gigabytes with PyTorch, once)"
    [ -x "$python" ] || python3 -m venv "$venv" || return 1
    "$venv/bin/pip" install --quiet --disable-pip-version-check --no-input "$@"
}

# Builds the four programs in release, with the versions of Cargo.lock, and sets $programs to their folder. Every measurement asks
# for the same packages, because another choice unites other features and builds half of the dependencies again.
# CARREL_BENCH_PROGRAMS names a folder with programs that are built already.
bench_build() {
    programs=${CARREL_BENCH_PROGRAMS:-}
    if [ -z "$programs" ]; then
        cargo build --release --quiet --locked -p carrel -p carrel-api -p carrel-worker -p carrel-ai
        programs=$(target_dir)/release
    fi
}

# An example of a library that measures it alone: bench_example NAME PACKAGE sets $examples to its folder.
bench_example() {
    examples=${CARREL_BENCH_PROGRAMS:-}
    if [ -z "$examples" ]; then
        cargo build --release --quiet --locked -p "$2" --example "$1"
        examples=$(target_dir)/release/examples
    fi
}

# Where cargo puts what it builds.
target_dir() {
    cargo metadata --format-version 1 --no-deps --locked |
        python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])'
}
