#!/usr/bin/env bash
# A throw-away Podman with its own storage and two small images, and a registry for it, for tests. Nothing outside of
# this machine is asked.
#
#   tests/podman.sh start DIR   makes and starts one below DIR, prints the path of its API socket and nothing else
#   tests/podman.sh stop DIR    kills its containers, stops it and removes DIR
#
# Images: localhost/busybox:1 (a shell, started by `CMD ["/bin/echo", "from the image"]`) and localhost/empty:1
# (one file, nothing to execute). DIR/registry holds the address of the registry, which has busybox:1 too, and
# DIR/private that of another with the same images, which wants the user "reader" and the password "open sesame".
set -euo pipefail
export LC_ALL=C

fail() {
    printf 'podman.sh: %s\n' "$*" >&2
    exit 1
}

# Podman with the storage below DIR. What the user has configured for his own containers counts for nothing.
own_podman() {
    local dir=$1
    shift
    CONTAINERS_CONF=$dir/containers.conf CONTAINERS_STORAGE_CONF=$dir/storage.conf \
        CONTAINERS_REGISTRIES_CONF=$dir/registries.conf TMPDIR=$dir/tmp \
        podman --root "$dir/root" --runroot "$dir/run" "$@"
}

# True if nobody listens there.
is_free() {
    ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# Starts a registry on a free port and waits until it answers. NAME: what its files are called. AUTH: who may read.
start_registry() {
    local dir=$1 name=$2 auth=$3 port
    for _ in 1 2 3 4 5 6 7 8; do
        # Below 32768, where the system takes the ports of outgoing connections from.
        port=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
        is_free "$port" || continue
        cat >"$dir/$name.yml" <<CONF
version: 0.1
log: {level: error}
storage: {filesystem: {rootdirectory: $dir/registry-data}}
http: {addr: 127.0.0.1:$port}
$auth
CONF
        docker-registry serve "$dir/$name.yml" >"$dir/$name.log" 2>&1 </dev/null &
        echo $! >"$dir/$name.pid"
        for _ in $(seq 200); do
            if ! is_free "$port"; then
                printf '127.0.0.1:%s\n' "$port" >"$dir/$name"
                return
            fi
            kill -0 "$(cat "$dir/$name.pid")" 2>/dev/null || break
            sleep 0.05
        done
    done
    cat "$dir/$name.log" >&2
    fail "the $name did not start"
}

start() {
    local dir=$1 socket
    for program in podman runc busybox docker-registry; do
        command -v "$program" >/dev/null ||
            fail "$program is missing: apt-get install podman runc catatonit busybox-static docker-registry"
    done
    [ -e "$dir/root" ] && fail "$dir already holds a Podman"
    mkdir -p "$dir/tmp" "$dir/image"
    dir=$(cd "$dir" && pwd -P)
    socket=$dir/podman.sock
    # The path of a socket has at most 107 bytes.
    [ "${#socket}" -le 100 ] || fail "the path $dir is too long for a socket"

    # runc: crun refuses to run where cgroup v1 and v2 are mixed. Limits: Podman's own are above the hard limits of many
    # machines. No network: tests need none, and making one needs rights that machines of tests often lack.
    cat >"$dir/containers.conf" <<'CONF'
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
netns = "none"
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
CONF
    printf '[storage]\ndriver = "vfs"\ngraphroot = "%s/root"\nrunroot = "%s/run"\n' "$dir" "$dir" >"$dir/storage.conf"
    start_registry "$dir" registry ''
    # shellcheck disable=SC2016
    printf '%s\n' 'reader:$2y$05$abcdefghijklmnopqrstuupx2xBUC4954936wVIjyyPHmUBFu0wCW' >"$dir/htpasswd"
    start_registry "$dir" private "auth: {htpasswd: {realm: private, path: $dir/htpasswd}}"
    {
        echo 'unqualified-search-registries = []'
        printf '[[registry]]\nlocation = "%s"\ninsecure = true\n' "$(cat "$dir/registry")" "$(cat "$dir/private")"
    } >"$dir/registries.conf"

    mkdir -p "$dir/image/bin" "$dir/image/tmp"
    cp "$(command -v busybox)" "$dir/image/bin/busybox"
    for applet in sh cat echo sleep kill head tail tr wc id ls env yes dd true ps touch seq; do
        ln -s busybox "$dir/image/bin/$applet"
    done
    {
        tar -C "$dir/image" -c . | own_podman "$dir" import --change 'CMD ["/bin/echo", "from the image"]' \
            - localhost/busybox:1
        mkdir "$dir/empty"
        echo 'nothing to execute' >"$dir/empty/readme"
        tar -C "$dir/empty" -c . | own_podman "$dir" import - localhost/empty:1
        own_podman "$dir" push localhost/busybox:1 "$(cat "$dir/registry")/busybox:1"
    } >"$dir/images.log" 2>&1 || {
        cat "$dir/images.log" >&2
        fail 'the images could not be made'
    }

    # What its helpers write into their working directory goes with the rest.
    cd "$dir/tmp"
    own_podman "$dir" system service --time=0 "unix://$socket" >"$dir/service.log" 2>&1 </dev/null &
    echo $! >"$dir/pid"
    for _ in $(seq 200); do
        if [ -S "$socket" ]; then
            echo "$socket"
            return
        fi
        kill -0 "$(cat "$dir/pid")" 2>/dev/null || break
        sleep 0.05
    done
    cat "$dir/service.log" >&2
    fail 'the service did not start'
}

stop() {
    local dir=$1
    [ -f "$dir/containers.conf" ] || return 0
    dir=$(cd "$dir" && pwd -P)
    for pid in "$dir/pid" "$dir/registry.pid" "$dir/private.pid"; do
        [ -f "$pid" ] && kill "$(cat "$pid")" 2>/dev/null || true
    done
    own_podman "$dir" rm --all --force --time 0 >/dev/null 2>&1 ||
        printf 'podman.sh: containers in %s could not be removed\n' "$dir" >&2
    umount -R "$dir/root" 2>/dev/null || true
    # Only what start made: a mistyped directory must not be emptied.
    rm -rf "$dir"/{root,run,tmp,image,empty,pid,podman.sock} "$dir"/registry{,-data,.yml,.log,.pid} \
        "$dir"/private{,.yml,.log,.pid} "$dir/htpasswd" \
        "$dir"/{containers,storage,registries}.conf "$dir"/{images,service}.log
    rmdir "$dir" 2>/dev/null || true
}

case "${1:-}" in
start | stop)
    [ $# -eq 2 ] || fail "usage: $0 $1 DIR"
    "$1" "$2"
    ;;
*) fail "usage: $0 start DIR | stop DIR" ;;
esac
