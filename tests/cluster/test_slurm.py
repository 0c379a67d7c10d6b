"""Tests of the SLURM installation that the other tests in this folder need."""

import os
import re

import pytest

pytestmark = pytest.mark.cluster


def test_two_nodes_run_one_task_each(slurm, tmp_path):
    job = slurm.submit("srun --label bash -c 'echo $SLURMD_NODENAME'\n", tmp_path, "--nodes=2", "--ntasks-per-node=1")
    assert slurm.wait(job)["JobState"] == "COMPLETED"
    assert sorted(slurm.log(job).split("\n"))[-2:] == ["0: node1", "1: node2"]


def test_a_requeued_job_starts_again_at_once(slurm, tmp_path):
    job = slurm.submit('echo start ${SLURM_RESTART_COUNT:-0}\n[ -n "$SLURM_RESTART_COUNT" ] || sleep 60\n', tmp_path)
    slurm.wait_for_text(job, "start 0")
    slurm._run("scontrol", "requeue", job)
    assert slurm.wait(job, timeout=30)["Restarts"] == "1"
    assert re.findall(r"start \d", slurm.log(job)) == ["start 0", "start 1"]


def test_nothing_listens_beyond_this_machine(slurm):
    ports = {port for port in (16817, 17001, 17002)}
    with open("/proc/net/tcp") as table:
        addresses = [line.split()[1].split(":") for line in table.readlines()[1:] if line.split()[3] == "0A"]
    mine = {address for address, port in addresses if int(port, 16) in ports}
    assert mine == {"0100007F"} and "SLURM_CONF" in os.environ
