#!/usr/bin/env bash
# A throw-away PostgreSQL cluster for tests and benchmarks.
#
#   tests/postgres.sh start DIR   makes and starts one below DIR, prints its address and nothing else
#   tests/postgres.sh stop DIR    stops it and removes DIR
#   tests/postgres.sh version     prints the major version of the server programs that would be used
#
# PG_DURABLE=1 keeps fsync and full_page_writes on: what a benchmark of durable writes needs. Tests want the
# opposite: dropping a database costs 1.8 s with fsync and 26 ms without.
set -euo pipefail
export LC_ALL=C

fail() {
    printf 'postgres.sh: %s\n' "$*" >&2
    exit 1
}

# Debian keeps the server programs out of PATH; the newest version found there wins if PATH has none.
find_programs() {
    if command -v initdb >/dev/null && command -v pg_ctl >/dev/null; then
        dirname "$(readlink -f "$(command -v initdb)")"
        return
    fi
    local found
    found=$(printf '%s\n' /usr/lib/postgresql/*/bin /usr/pgsql-*/bin | sort -V | while read -r dir; do
        if [ -x "$dir/initdb" ] && [ -x "$dir/pg_ctl" ]; then printf '%s\n' "$dir"; fi
    done | tail -n 1)
    [ -n "$found" ] || fail 'initdb and pg_ctl are neither in PATH nor in /usr/lib/postgresql/*/bin'
    printf '%s\n' "$found"
}

# The server refuses to run as root, so root hands the work to an account without rights.
as_owner() {
    if [ "$(id -u)" -ne 0 ]; then
        "$@"
    elif command -v setpriv >/dev/null; then
        setpriv --reuid="$(owner)" --regid="$(id -g "$(owner)")" --clear-groups -- env HOME=/ "$@"
    elif command -v runuser >/dev/null; then
        runuser -u "$(owner)" -- "$@"
    else
        fail 'root needs setpriv or runuser to start PostgreSQL as another user'
    fi
}

owner() {
    if id postgres >/dev/null 2>&1; then printf 'postgres\n'; else printf 'nobody\n'; fi
}

# True if nobody listens there. The server has the last word: start tries another port when it lost a race.
is_free() {
    ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

version() {
    "$1/postgres" --version | sed -E 's/^[^0-9]*([0-9]+).*/\1/'
}

start() {
    local dir=$1 bin port durable=off
    bin=$(find_programs)
    [ "${PG_DURABLE:-0}" = 1 ] && durable=on
    [ -e "$dir/data" ] && fail "$dir already holds a cluster"
    mkdir -p "$dir"
    dir=$(cd "$dir" && pwd -P)
    if [ "$(id -u)" -eq 0 ]; then
        chown "$(owner):$(id -g "$(owner)")" "$dir"
        as_owner test -x "$dir" || fail "the user $(owner) cannot reach $dir"
    fi
    chmod 700 "$dir"

    # The server works below its own directory: the caller's may be closed to the account it runs as.
    cd "$dir"
    # A linguistic default order on purpose: a statement that forgot COLLATE "C" then sorts differently from SQLite.
    if ! as_owner "$bin/initdb" --pgdata="$dir/data" --username=postgres --auth=trust --encoding=UTF8 \
        --locale=C.UTF-8 --locale-provider=icu --icu-locale=en --no-sync >"$dir/initdb.log" 2>&1 </dev/null; then
        cat "$dir/initdb.log" >&2
        fail 'initdb failed'
    fi
    cat >>"$dir/data/postgresql.conf" <<CONF
listen_addresses = '127.0.0.1'
unix_socket_directories = '$dir'
max_connections = 200
fsync = $durable
full_page_writes = $durable
synchronous_commit = $durable
wal_level = minimal
max_wal_senders = 0
autovacuum_naptime = 1min
log_min_messages = warning
timezone = 'UTC'
CONF

    # The path of a socket has at most 107 bytes; every caller uses the port.
    [ "${#dir}" -le 80 ] || echo "unix_socket_directories = ''" >>"$dir/data/postgresql.conf"

    for _ in 1 2 3 4 5 6 7 8; do
        # Below 32768, where the system takes the ports of outgoing connections from.
        port=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
        is_free "$port" || continue
        if as_owner "$bin/pg_ctl" start --pgdata="$dir/data" --wait --timeout=60 --log="$dir/server.log" \
            --options="-p $port" >"$dir/start.log" 2>&1 </dev/null; then
            printf 'postgres://postgres@127.0.0.1:%s/postgres\n' "$port" | tee "$dir/url"
            return
        fi
        grep -q 'Address already in use' "$dir/server.log" || break
        : >"$dir/server.log"
    done
    cat "$dir/start.log" "$dir/server.log" >&2 || true
    fail 'the server did not start'
}

stop() {
    local dir=$1 bin
    [ -d "$dir" ] || return 0
    dir=$(cd "$dir" && pwd -P)
    if [ -f "$dir/data/postmaster.pid" ]; then
        bin=$(find_programs)
        cd "$dir"
        # Nothing in it is worth a clean shutdown.
        as_owner "$bin/pg_ctl" stop --pgdata="$dir/data" --mode=immediate --wait --timeout=20 >/dev/null </dev/null ||
            printf 'postgres.sh: the server in %s did not stop\n' "$dir" >&2
        cd /
    fi
    # Only what start made: a mistyped directory must not be emptied.
    rm -rf "$dir/data" "$dir"/{initdb,start,server}.log "$dir/url" "$dir"/.s.PGSQL.*
    rmdir "$dir" 2>/dev/null || true
}

case "${1:-}" in
start | stop)
    [ $# -eq 2 ] || fail "usage: $0 $1 DIR"
    "$1" "$2"
    ;;
version) version "$(find_programs)" ;;
*) fail "usage: $0 start DIR | stop DIR | version" ;;
esac
