#!/bin/bash
# Brings up munged, slurmctld and two slurmd (node1, node2) on the loopback interface, with fresh state in
# $SLURM_TEST_ROOT. Needs root and the packages slurm-wlm and munge; no systemd, no cgroups, no accounting database.
set -euo pipefail
ROOT=${SLURM_TEST_ROOT:?name a scratch folder}
HERE=$(cd "$(dirname "$0")" && pwd)
"$HERE/stop.sh"
RUN=$ROOT/run
mkdir -p "$RUN/state" "$RUN/spool.node1" "$RUN/spool.node2"
chmod 755 "$ROOT" "$RUN"
HOST=$(hostname -s)
for name in "$HOST" node1 node2; do # Lightning takes the first node's name as the address of rank 0
    getent hosts "$name" >/dev/null || echo "127.0.0.1 $name # lagem-slurm" >>/etc/hosts # stop.sh knows the mark
done
sed -e "s#@ROOT@#$ROOT#g; s#@HOST@#$HOST#g" "$HERE/slurm.conf.in" >"$ROOT/slurm.conf"
export SLURM_CONF=$ROOT/slurm.conf
dd if=/dev/urandom of="$RUN/munge.key" bs=128 count=1 status=none
chmod 400 "$RUN/munge.key"
munged --key-file="$RUN/munge.key" --socket="$RUN/munge.socket" --pid-file="$RUN/munged.pid" \
    --log-file="$RUN/munged.log" --seed-file="$RUN/munge.seed" --num-threads=2
slurmctld -i
for name in node1 node2; do slurmd -N $name; done
for _ in $(seq 100); do
    [ "$(sinfo -h -N -p debug -o %T | grep -c idle)" = 2 ] && exit 0
    scontrol update nodename=node[1-2] state=resume 2>/dev/null || true
    sleep 0.3
done
echo "the two nodes did not come up; see $RUN/*.log" >&2
sinfo >&2
exit 1
