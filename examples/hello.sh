#!/bin/sh
# What `chandler demo` runs: a script that tells where it is and takes its time, so that the log can be watched.
set -eu

echo "Hello from job $CHANDLER_JOB_ID."
echo "I run as user $(id -u) in $(pwd)."
if cat ../../../master.key >/dev/null 2>&1; then
    echo "The server's master key can be read from here."
else
    echo "The server's files are out of my reach."
fi
for step in 1 2 3; do
    echo "Step $step of 3 …"
    sleep 0.3
done
echo "Done."
