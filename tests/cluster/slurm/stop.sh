#!/bin/bash
# Cancels every job, ends the daemons that start.sh started, and removes their state and their names in /etc/hosts.
ROOT=${SLURM_TEST_ROOT:?name the scratch folder of start.sh}
if [ -L "$ROOT" ] || { [ -e "$ROOT" ] && [ ! -O "$ROOT" ]; }; then
    echo "$ROOT is another user's, or a link: remove it, or name another folder" >&2
    exit 1
fi
RUN=$ROOT/run
DAEMONS="slurmd.node1 slurmd.node2 slurmctld munged"
export SLURM_CONF=$ROOT/slurm.conf
alive() { # whether a daemon runs under the id it noted, and not another process
    [ -s "$RUN/$1.pid" ] && [ "$(cat "/proc/$(cat "$RUN/$1.pid")/comm" 2>/dev/null)" = "${1%%.*}" ]
}
if alive slurmctld; then
    timeout 20 scancel --user="$(id -un)" 2>/dev/null
    for _ in $(seq 50); do
        [ -z "$(timeout 5 squeue -h 2>/dev/null)" ] && break
        sleep 0.2
    done
fi
for name in $DAEMONS; do alive "$name" && kill "$(cat "$RUN/$name.pid")"; done
for _ in $(seq 50); do
    left=0
    for name in $DAEMONS; do alive "$name" && left=1; done
    [ $left = 0 ] && break
    sleep 0.2
done
rm -rf "$RUN"
if grep -q '# lagem-slurm$' /etc/hosts; then
    kept=$(grep -v '# lagem-slurm$' /etc/hosts) && echo "$kept" >/etc/hosts # in place: it may be a mount
fi
exit 0
