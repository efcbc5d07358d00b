# shellcheck shell=bash
# A docker engine with compose for the proofs. Source it after scripts/lib/common.sh.
#
# Where docker and compose work and images can be pulled, that is used. Elsewhere, on Debian as root, an engine of our own
# runs from a scratch folder in a network of its own, on base images that are made of Debian's packages and the machine's
# Rust: nothing of the machine changes but its packages, and `engine_stop` ends all of it.

# Where the own engine keeps images, and what can be used again.
engine_dir=${CARREL_PROVE_DIR:-$ROOT/target/prove}
# The command line of docker. Its plug-ins come with the configuration folder.
docker_command=(docker)
# own or yours.
engine=
engine_pid=
engine_netns=
compose_release=trixie

docker() { "${docker_command[@]}" "$@"; }

# Finds or makes an engine that can build.
engine_open() {
    if [ "${CARREL_PROVE_ENGINE:-}" != own ] && command docker compose version >/dev/null 2>&1 \
        && command docker pull --quiet debian:bookworm-slim >/dev/null 2>&1; then
        engine=yours
        say "engine: this machine's docker $(docker version --format '{{.Server.Version}}')"
        return 0
    fi
    engine=own
    is_root || fail "docker cannot pull images here, and an engine of its own needs root"
    have apt-get || fail "docker cannot pull images here, and an engine of its own needs Debian"
    say "engine: one of its own in $engine_dir"
    mkdir -p "$engine_dir"/{base,config/cli-plugins,apt}
    engine_install
    engine_start build
    engine_images services
}

engine_install() {
    export DEBIAN_FRONTEND=noninteractive
    local missing=() package
    for package in docker.io containerd runc iptables mmdebstrap iproute2 util-linux; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q ' installed$' || missing+=("$package")
    done
    if [ ${#missing[@]} -gt 0 ]; then
        say "installing ${missing[*]}"
        apt-get update -qq >/dev/null
        apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
    fi
    # Compose 2 and buildx are static programs; bookworm has none, so those of the next release are unpacked beside it.
    if [ ! -x "$engine_dir/config/cli-plugins/docker-compose" ] || [ ! -x "$engine_dir/config/cli-plugins/docker-buildx" ]; then
        engine_plugins
    fi
    docker_command=(env "DOCKER_CONFIG=$engine_dir/config" "DOCKER_HOST=unix://$engine_dir/sock" DOCKER_BUILDKIT=1
        COMPOSE_BAKE=false /usr/bin/docker)
}

engine_mirror() { apt-get indextargets --format '$(SITE)' | grep -m 1 -E '/debian/?$'; }

engine_plugins() {
    local apt="$engine_dir/apt" options
    mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial"
    printf 'deb %s %s main\n' "$(engine_mirror)" "$compose_release" >"$apt/sources.list"
    options=(-o "Dir::Etc::sourcelist=$apt/sources.list" -o Dir::Etc::sourceparts=- -o "Dir::State::lists=$apt/lists"
        -o "Dir::Cache=$apt/cache" -o APT::Sandbox::User=root)
    apt-get "${options[@]}" update -qq >/dev/null
    (cd "$apt" && apt-get "${options[@]}" download -qq docker-compose docker-buildx >/dev/null)
    local deb
    for deb in "$apt"/*.deb; do dpkg -x "$deb" "$apt/root"; done
    find "$apt/root" -name docker-compose -path '*cli-plugins*' -exec cp -L {} "$engine_dir/config/cli-plugins/" \;
    find "$apt/root" -name docker-buildx -path '*cli-plugins*' -exec cp -L {} "$engine_dir/config/cli-plugins/" \;
}

# engine_start build|run: to build, the engine has the machine's network and makes none; to run, it has a network
# namespace of its own, in which it may make bridges and rules as it likes.
engine_start() {
    local options=(--data-root "$engine_dir/data" --exec-root "$engine_dir/exec" -p "$engine_dir/pid"
        -H "unix://$engine_dir/sock") enter=()
    # Without CAP_SYS_RESOURCE (bit 24) runc can raise no limit, so a shim takes these wishes out.
    if [ $(((0x$(sed -n 's/^CapBnd:\s*//p' /proc/self/status) >> 24) & 1)) -eq 0 ]; then
        engine_shim >"$engine_dir/runc-plain"
        chmod +x "$engine_dir/runc-plain"
        options+=(--add-runtime "plain=$engine_dir/runc-plain" --default-runtime plain)
    fi
    case $1 in
        build) options+=(--bridge=none --iptables=false --ip-forward=false --ip-masq=false) ;;
        run)
            engine_netns="carrel-prove-$$"
            ip netns add "$engine_netns"
            ip -n "$engine_netns" link set lo up
            enter=(nsenter "--net=/run/netns/$engine_netns")
            ;;
    esac
    rm -f "$engine_dir/pid"
    # A group of its own: Ctrl-C ends the proof, which then ends the engine in order.
    setsid nice -n "${CARREL_PROVE_NICE:-0}" "${enter[@]}" /usr/sbin/dockerd "${options[@]}" >>"$engine_dir/dockerd.log" 2>&1 &
    engine_pid=$!
    wait_for 60 "the docker engine (log: $engine_dir/dockerd.log)" docker version
}

engine_shim() {
    cat <<'PYTHON'
#!/usr/bin/env python3
"""runc without what needs CAP_SYS_RESOURCE: limits above those of this process, negative oom_score_adj."""
import json, os, sys
arguments = sys.argv[1:]
for option, value in zip(arguments, arguments[1:]):
    if option in ("--bundle", "-b"):
        path = value + "/config.json"
        with open(path) as file:
            config = json.load(file)
        process = config.get("process", {})
        process.pop("rlimits", None)
        if process.get("oomScoreAdj", 0) < 0:
            process.pop("oomScoreAdj")
        for name, capabilities in (process.get("capabilities") or {}).items():
            process["capabilities"][name] = [held for held in capabilities if held != "CAP_SYS_RESOURCE"]
        with open(path, "w") as file:
            json.dump(config, file)
os.execv("/usr/sbin/runc", ["runc", *arguments])
PYTHON
}

# From the machine's network into the own engine's. Images stay.
engine_isolate() {
    [ "$engine" = own ] || return 0
    engine_stop
    engine_start run
}

# inside COMMAND…: where published ports are reached.
inside() {
    if [ -n "$engine_netns" ]; then nsenter "--net=/run/netns/$engine_netns" "$@"; else "$@"; fi
}

# build TARGET TAG [OPTION…]
engine_build() {
    local target=$1 tag=$2 network=() file="$ROOT/docker/Dockerfile"
    shift 2
    if [ "$engine" = own ]; then network=(--network host); fi
    if [ -n "${CARREL_PROGRAMS:-}" ]; then
        engine_programs "${network[@]}"
        file="$engine_dir/Dockerfile"
    elif [ "$engine" = own ]; then
        engine_images build
    fi
    docker build --quiet "${network[@]}" --file "$file" --target "$target" --tag "$tag" "$@" "$ROOT" >/dev/null
}

# The Dockerfile with the programs of CARREL_PROGRAMS, stripped, in the place of the stage that compiles them; all else is as it is.
engine_programs() {
    local context="$engine_dir/programs" program
    rm -rf "$context"
    mkdir -p "$context/out"
    for program in carrel carrel-api carrel-worker carrel-ai; do strip -o "$context/out/$program" "$CARREL_PROGRAMS/$program"; done
    cp -L /etc/ssl/certs/ca-certificates.crt "$context/"
    docker build --quiet "$@" --tag carrel-prove:programs --file - "$context" >/dev/null <<'DOCKERFILE'
FROM debian:bookworm-slim
COPY ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY out /out
DOCKERFILE
    awk '/^FROM / { skip = 0 } / AS build$/ { print "FROM carrel-prove:programs AS build"; skip = 1 } !skip' \
        "$ROOT/docker/Dockerfile" >"$engine_dir/Dockerfile"
}

# Ends the own engine; its images stay for the next run.
engine_stop() {
    if [ -n "$engine_pid" ]; then
        end_process "$engine_pid"
        engine_pid=
    fi
    if [ -n "$engine_netns" ]; then
        ip netns delete "$engine_netns" 2>/dev/null || true
        engine_netns=
    fi
    if [ "$engine" = own ]; then
        local mount
        # What the engine left mounted, innermost first.
        for mount in $(awk -v under="$engine_dir/" 'index($2, under) == 1 { print $2 }' /proc/mounts | sort -r); do
            umount "$mount" 2>/dev/null || true
        done
    fi
}

# engine_images services|build: base images by their public names, made of Debian's packages, PyPI's Node and this machine's Rust.
engine_images() {
    # shellcheck source=scripts/prove.d/images.sh
    . "$ROOT/scripts/prove.d/images.sh"
    engine_base_images "$1"
}
