#!/usr/bin/env bash
# An Ansible for tests, in a virtual environment of its own.
#
#   tests/ansible.sh start   makes it below target/test-tools unless it is there, prints its folder of programs
#   tests/ansible.sh path    prints that folder and makes nothing
#
# CHANDLER_TEST_ANSIBLE_CORE names another release than the one below, to try it: 2.16.
set -euo pipefail
export LC_ALL=C

release=${CHANDLER_TEST_ANSIBLE_CORE:-2.19}
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
home=$root/target/test-tools/ansible
[ "$release" = 2.19 ] || home=$home-$release

fail() {
    printf 'ansible.sh: %s\n' "$*" >&2
    exit 1
}

start() {
    if ! "$home/bin/ansible-playbook" --version 2>/dev/null | grep -q "^ansible-playbook \[core $release\."; then
        command -v python3 >/dev/null || fail 'python3 is missing: apt-get install python3 python3-venv'
        # What an interrupted start left is no Ansible.
        rm -rf "$home"
        mkdir -p "$(dirname "$home")"
        {
            python3 -m venv "$home"
            "$home/bin/pip" install --disable-pip-version-check --quiet "ansible-core==$release.*"
        } >&2 || fail 'the virtual environment could not be made: python3-venv and a package index are needed'
    fi
    path
}

path() { echo "$home/bin"; }

case "${1:-}" in
start | path)
    [ $# -eq 1 ] || fail "usage: $0 $1"
    "$1"
    ;;
*) fail "usage: $0 start | path" ;;
esac
