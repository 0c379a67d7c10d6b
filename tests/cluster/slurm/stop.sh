#!/bin/bash
# Cancels every job, ends the daemons that start.sh started, and removes their state.
ROOT=${SLURM_TEST_ROOT:?name the scratch folder of start.sh}
RUN=$ROOT/run
DAEMONS="slurmd.node1 slurmd.node2 slurmctld munged"
export SLURM_CONF=$ROOT/slurm.conf
alive() { [ -s "$RUN/$1.pid" ] && kill -0 "$(cat "$RUN/$1.pid")" 2>/dev/null; }
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
exit 0
