#!/usr/bin/env bash
# The one test command: checks the tools, the format, the lints, runs every test on SQLite and PostgreSQL, then the
# program itself. Needs a network only for what cargo (and, as root, apt) has to fetch. A part that cannot run is a
# failure. CI calls the same script through .ci/run.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
readonly ROOT=$PWD
exec </dev/null
export LC_ALL=C
# Cargo's own directory is not in PATH of a non-login shell.
[ -d "${CARGO_HOME:-$HOME/.cargo}/bin" ] && PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"

# Name, longest run in seconds, what it is. Tools, database, containers and Ansible are needed by the rest: their
# failure ends the run.
readonly STAGES=(
    'tools|900|programs the other stages need'
    'format|60|cargo fmt --check'
    'lints|1800|clippy on every target, warnings are errors'
    'database|90|a PostgreSQL cluster of its own'
    'containers|120|a Podman with storage and images of its own'
    'ansible|300|an Ansible of its own'
    'tests|1800|every test, on both engines'
    'doc-tests|600|examples in the documentation'
    'demo|1200|the release binary plays its demonstration'
    'bench|1200|a short round of the benchmarks: it has to run, its numbers prove nothing'
)
readonly TOTAL_LIMIT=4800
readonly POSTGRES_MAJOR=15
# Tests open pools of their own on the one cluster: more at a time would exhaust its connections on a large machine.
readonly MOST_TESTS_AT_ONCE=12
readonly JUNIT=target/nextest/whole/junit.xml

scratch=
running=
report=()
failed=()

# Runs a command under the time limit of the stage, in the background so that a signal is answered at once.
bounded() {
    local left=$((TOTAL_LIMIT - SECONDS)) limit=$stage_limit status=0
    [ "$left" -lt "$limit" ] && limit=$left
    if [ "$limit" -le 0 ]; then
        echo "the whole run may take $TOTAL_LIMIT s: no time left for: $*" >&2
        return 1
    fi
    timeout --kill-after=10 "$limit" "$@" &
    running=$!
    wait "$running" || status=$?
    running=
    [ "$status" -eq 124 ] && echo "stopped after $limit s: $*" >&2
    return "$status"
}

cleanup() {
    local status=$?
    trap - EXIT INT TERM HUP
    # timeout passes the signal to everything it started.
    if [ -n "$running" ]; then
        kill -TERM "$running" 2>/dev/null || true
        wait "$running" 2>/dev/null || true
    fi
    if [ -n "$scratch" ]; then
        tests/podman.sh stop "$scratch/podman" || true
        tests/postgres.sh stop "$scratch/pg" || true
        rm -rf "$scratch"
    fi
    exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

rust_version() { sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml; }

# True if version $1 is at least version $2.
at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

has_rust() { at_least "$(rustc --version 2>/dev/null | cut -d ' ' -f 2)" "$(rust_version)" && cargo --version >/dev/null 2>&1; }
has_postgres() { at_least "$(tests/postgres.sh version 2>/dev/null)" "$POSTGRES_MAJOR"; }

# It becomes the only program of a test's image.
has_static_busybox() { command -v busybox >/dev/null && ! ldd "$(command -v busybox)" >/dev/null 2>&1; }

# Debian keeps what `python3 -m venv` needs in a package of its own.
has_venv() { python3 -c 'import venv, ensurepip' >/dev/null 2>&1; }

# Prints one line per missing tool: its name, a bar, the Debian package or `cargo`/`rust`/`vendor`, a bar, the command.
missing_tools() {
    has_rust || echo "Rust $(rust_version) or newer|rust|rustup toolchain install stable  (rustup: https://rustup.rs)"
    cargo fmt --version >/dev/null 2>&1 || echo 'rustfmt|rust|rustup component add rustfmt'
    cargo clippy --version >/dev/null 2>&1 || echo 'clippy|rust|rustup component add clippy'
    command -v cc >/dev/null || echo 'a C compiler|gcc libc6-dev|apt-get install gcc libc6-dev'
    has_postgres || echo "PostgreSQL $POSTGRES_MAJOR or newer (initdb, pg_ctl)|postgresql|apt-get install postgresql"
    command -v wrk >/dev/null || echo 'wrk|wrk|apt-get install wrk'
    command -v curl >/dev/null || echo 'curl|curl|apt-get install curl'
    command -v podman >/dev/null || echo 'Podman|podman|apt-get install podman'
    command -v runc >/dev/null || echo 'runc|runc|apt-get install runc'
    command -v catatonit >/dev/null || echo 'catatonit|catatonit|apt-get install catatonit'
    command -v docker-registry >/dev/null || echo 'docker-registry|docker-registry|apt-get install docker-registry'
    has_static_busybox || echo 'busybox without libraries|busybox-static|apt-get install busybox-static'
    has_venv || echo 'Python 3 with venv|python3-venv|apt-get install python3-venv'
    command -v terraform >/dev/null || echo 'Terraform|vendor|https://developer.hashicorp.com/terraform/install'
    cargo nextest --version >/dev/null 2>&1 || echo 'cargo-nextest|cargo|cargo install cargo-nextest --locked'
}

stage_tools() {
    local missing packages
    missing=$(missing_tools)
    if [ -n "$missing" ] && [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
        packages=$(echo "$missing" | cut -d '|' -f 2 | grep -vE '^(rust|cargo|vendor)$' | tr '\n' ' ' || true)
        if [ -n "$packages" ]; then
            echo "installing: $packages"
            bounded apt-get update -qq || return 1
            # shellcheck disable=SC2086 # a list of package names
            DEBIAN_FRONTEND=noninteractive bounded apt-get install -y -qq -o Dpkg::Use-Pty=0 --no-install-recommends $packages || return 1
        fi
        # The C compiler has to be there before the first cargo install.
        if echo "$missing" | grep -q '|cargo|' && has_rust; then
            bounded cargo install cargo-nextest --locked || return 1
        fi
        missing=$(missing_tools)
    fi
    if [ -n "$missing" ]; then
        echo "missing:" >&2
        echo "$missing" | while IFS='|' read -r name _ command; do printf '  %s\n      %s\n' "$name" "$command"; done >&2
        return 1
    fi
    rustc --version
    cargo nextest --version | head -n 1
    echo "PostgreSQL $(tests/postgres.sh version)"
}

stage_format() { bounded cargo fmt --all --check; }

stage_lints() { bounded cargo clippy --workspace --all-targets --locked -- -D warnings; }

stage_database() {
    # /tmp and not TMPDIR: the server runs as another user when this script runs as root, and a socket path is short.
    scratch=$(mktemp -d /tmp/chandler-test.XXXXXX)
    chmod 755 "$scratch"
    bounded tests/postgres.sh start "$scratch/pg" || return 1
    CHANDLER_TEST_POSTGRES=$(cat "$scratch/pg/url")
    export CHANDLER_TEST_POSTGRES
}

stage_containers() {
    bounded tests/podman.sh start "$scratch/podman" || return 1
    CHANDLER_TEST_PODMAN=$scratch/podman/podman.sock
    export CHANDLER_TEST_PODMAN
}

stage_ansible() {
    bounded tests/ansible.sh start || return 1
    CHANDLER_TEST_ANSIBLE=$(tests/ansible.sh path)
    export CHANDLER_TEST_ANSIBLE
}

stage_tests() {
    local threads
    threads=$(nproc)
    [ "$threads" -gt "$MOST_TESTS_AT_ONCE" ] && threads=$MOST_TESTS_AT_ONCE
    rm -f "$JUNIT"
    bounded cargo nextest run --profile whole --workspace --locked --test-threads "$threads"
}

stage_doc_tests() {
    # shellcheck disable=SC2016 # expanded by the inner shell
    bounded bash -o pipefail -c 'cargo test --doc --workspace --locked 2>&1 | tee "$1"' - "$scratch/doc-tests.log"
}

stage_demo() {
    bounded cargo build --release --locked -p chandler-server || return 1
    mkdir "$scratch/demo"
    # With the Ansible and the image of the tests, so that every part is played.
    bounded env -C "$scratch/demo" PATH="$CHANDLER_TEST_ANSIBLE:$PATH" \
        CHANDLER_WORKER_CONTAINER_SOCKET="$CHANDLER_TEST_PODMAN" \
        CHANDLER_ENVIRONMENTS_DEFAULT_IMAGE=localhost/busybox:1 \
        cargo run --release --locked --manifest-path "$ROOT/Cargo.toml" -p chandler-server -- demo --exit
}

stage_bench() {
    bounded cargo build --release --locked -p chandler-bench || return 1
    mkdir -m 755 "$scratch/bench"
    bounded cargo run --release --locked -p chandler-bench -- --quick --scratch "$scratch/bench"
}

# Test counts come from the runners' own reports; nothing is printed if one of them is missing.
print_counts() {
    [ -f "$JUNIT" ] && [ -f "$scratch/doc-tests.log" ] || return 0
    local tests broken documented
    tests=$(sed -n 's/^<testsuites .*tests="\([0-9]*\)".*/\1/p' "$JUNIT")
    broken=$(sed -nE 's/^<testsuites .*failures="([0-9]*)" errors="([0-9]*)".*/\1 \2/p' "$JUNIT" | awk '{print $1 + $2}')
    documented=$(awk '/^test result:/ {ok += $4; bad += $6} END {print ok + 0, bad + 0}' "$scratch/doc-tests.log")
    [ -n "$tests" ] && [ -n "$broken" ] || return 0
    # A runner that failed without a failed test did not get as far as running all of them.
    [[ " ${failed[*]-} " == *' tests '* && "$broken" -eq 0 ]] && return 0
    [[ " ${failed[*]-} " == *' doc-tests '* && "${documented#* }" -eq 0 ]] && return 0
    echo "$((tests - broken + ${documented% *})) passed, $((broken + ${documented#* })) failed"
}

# The runner lists them too, but many lines before the end of this run.
print_flaky() {
    [ -z "$ended" ] && [ -f "$JUNIT" ] || return 0
    awk -F '"' '/^ *<testcase / {test = $4 " " $2} /^ *<flakyFailure / && test != told {told = test; print "FLAKY: " test}' "$JUNIT"
}

run_stage() {
    local name=$1 about=$3 from=$SECONDS outcome=ok
    stage_limit=$2
    printf '\n==> %s: %s\n' "$name" "$about"
    "stage_${name//-/_}" || outcome=FAILED
    report+=("$(printf '%-10s %6d s  %s' "$name" $((SECONDS - from)) "$outcome")")
    printf '<== %s: %s after %d s\n' "$name" "$outcome" $((SECONDS - from))
    [ "$outcome" = ok ] || failed+=("$name")
}

ended=
for stage in "${STAGES[@]}"; do
    IFS='|' read -r name limit about <<<"$stage"
    if [ -n "$ended" ]; then
        report+=("$(printf '%-10s %6s    not run: no %s' "$name" - "$ended")")
        failed+=("$name")
        continue
    fi
    run_stage "$name" "$limit" "$about"
    if [[ " ${failed[*]-} " =~ \ (tools|database|containers|ansible)\  ]]; then ended=$name; fi
done

printf '\n'
printf '%s\n' "${report[@]}"
printf '%-10s %6d s\n' total "$SECONDS"
print_flaky
print_counts
if [ ${#failed[@]} -gt 0 ]; then
    printf 'FAILED: %s\n' "${failed[*]}" >&2
    exit 1
fi
