#!/bin/sh
# Runs one step of a Terraform job in the directory it is started in.
#   run STEP MOST TOOL…      STEP: plan, plan_destroy, apply, destroy; MOST: bytes of a plan that can be kept;
#                            the first of the tools that is there does it
#
# INT and TERM end it in order. What may write state replaces this shell, so that the signal reaches it exactly once,
# sent to the group or to the main process alone. What only looks runs below, is sent the signal on, and may hear it
# twice: it has nothing to lose.
set -u
exec </dev/null

step=$1
most=$2
shift 2

# A phase begins: told on both outputs, because they are read apart.
stopped=
phase() {
    [ -z "$stopped" ] || exit 130
    printf '\036%s\n' "$1"
    printf '\036%s\n' "$1" >&2
}

tool=
for name; do
    if command -v "$name" >/dev/null 2>&1; then
        tool=$name
        break
    fi
done
if [ -z "$tool" ]; then
    echo "Not found here: $*" >&2
    exit 127
fi
phase "$tool"

export TF_IN_AUTOMATION=1 TF_INPUT=0 CHECKPOINT_DISABLE=1
export TF_DATA_DIR="$PWD/.terraform"
# Another workspace of the local backend would keep its state elsewhere.
unset TF_WORKSPACE

child=
trap 'stopped=1; [ -z "$child" ] || kill -INT "$child" 2>/dev/null' INT TERM

# Runs a command below this shell; its exit code, however often the wait for it is interrupted.
below() {
    "$@" &
    child=$!
    wait "$child"
    code=$?
    while kill -0 "$child" 2>/dev/null; do
        wait "$child"
        code=$?
    done
    child=
    return "$code"
}

# Becomes the command. The handlers go first: what comes after them ends this shell, and nothing has been begun.
become() {
    trap - INT TERM
    [ -z "$stopped" ] || exit 130
    exec "$@"
}

set --
[ ! -f .chandler/variables.tfvars.json ] || set -- -var-file=.chandler/variables.tfvars.json

phase init
below "$tool" init -input=false -no-color || exit $?

case $step in
plan | plan_destroy)
    [ "$step" = plan ] || set -- "$@" -destroy
    phase plan
    below "$tool" plan -input=false -json -out=plan.out -detailed-exitcode "$@"
    planned=$?
    [ -z "$stopped" ] || planned=130
    case $planned in
    0 | 2) ;;
    *)
        # Terraform leaves half a plan, which nobody can apply.
        rm -f plan.out
        exit "$planned"
        ;;
    esac
    phase show
    # A plan that cannot be kept must not be taken for done: the apply would make one of its own.
    if [ "$(wc -c <plan.out)" -gt "$most" ]; then
        echo "Error: The plan is longer than $most bytes and cannot be kept" >&2
        rm -f plan.out
        exit 1
    fi
    below "$tool" show -json plan.out >plan.json || exit 1
    [ -z "$stopped" ] || exit 130
    exit "$planned"
    ;;
apply)
    phase apply
    # A saved plan has its values of variables in it.
    [ ! -f plan.out ] || become "$tool" apply -input=false -json plan.out
    become "$tool" apply -input=false -auto-approve -json "$@"
    ;;
destroy)
    phase destroy
    become "$tool" apply -destroy -input=false -auto-approve -json "$@"
    ;;
*)
    echo "No such step: $step" >&2
    exit 64
    ;;
esac
