"""A real SLURM of two nodes on this machine, for the tests marked `cluster`, which `make test-cluster` runs."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).with_name("slurm")
ENDED = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "DEADLINE", "BOOT_FAIL")
HEADER = "#!/bin/bash\n#SBATCH --requeue\n#SBATCH --open-mode=append\n"


class Slurm:
    """Submits jobs and follows them, with SLURM's own commands."""

    def submit(self, script: str, folder: Path, *options: str) -> str:
        """Submit a script that runs in `folder`, and return the id of the job. Its output goes to folder/log.txt."""
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / "job.sh"
        file.write_text(HEADER + script)
        return self._run("sbatch", "--parsable", f"--chdir={folder}", f"--output={folder}/log.txt", *options, str(file))

    def lagem(self, arguments: Sequence[str], folder: Path, *options: str) -> str:
        """Submit a job that runs `lagem` as one task on each of its nodes, and return its id."""
        words = " ".join(f"'{word}'" for word in [sys.executable, "-m", "lagem", *arguments])
        return self.submit(f"srun --kill-on-bad-exit=1 {words}\n", folder, "--ntasks-per-node=1", *options)

    def show(self, job: str) -> dict[str, str]:
        """Return what the controller knows of a job: JobState, Restarts, ExitCode, ..."""
        return dict(re.findall(r"(\w+)=(\S+)", self._run("scontrol", "-o", "show", "job", job)))

    def wait(self, job: str, *states: str, timeout: float = 120) -> dict[str, str]:
        """Wait until a job is in one of `states` or, if there are none, until it has ended; return what `show` returns.

        SLURM lets a requeued job wait for two minutes before it starts again; this method starts it at once.
        """
        deadline = time.monotonic() + timeout
        while True:
            known = self.show(job)
            ended = known["JobState"] in ENDED
            if ended:  # while a job is requeued it may be shown as failed for a moment
                time.sleep(1)
                known = self.show(job)
                ended = known["JobState"] in ENDED
            if known["JobState"] in states or (ended and not states):
                return known
            if (known["JobState"], known["Reason"]) == ("PENDING", "BeginTime"):
                time.sleep(1)  # slurmd would drop a start within the same second as the kill
                self._run("scontrol", "update", f"jobid={job}", "starttime=now")
            assert not ended and time.monotonic() < deadline, (known, self.log(job)[-3000:])
            time.sleep(0.2)

    def wait_for_text(self, job: str, text: str, *, count: int = 1, timeout: float = 120) -> None:
        """Wait until the output of a running job has at least `count` matches of the regular expression `text`."""
        deadline = time.monotonic() + timeout
        while len(re.findall(text, self.log(job))) < count:
            state = self.show(job)["JobState"]
            assert state not in ENDED, (state, self.log(job)[-3000:])
            assert time.monotonic() < deadline, self.log(job)[-3000:]
            time.sleep(0.1)

    def log(self, job: str) -> str:
        """Return what a job has printed so far."""
        path = Path(self.show(job)["StdOut"])
        return path.read_text() if path.exists() else ""

    def signal(self, job: str, name: str) -> None:
        """Send a signal to every process of a job's steps, as SLURM does before a time limit."""
        self._run("scancel", f"--signal={name}", job)

    def cancel(self, job: str) -> None:
        """Cancel a job."""
        self._run("scancel", job)

    def cancel_all(self) -> None:
        """Cancel all jobs, and wait until none is left."""
        deadline = time.monotonic() + 60
        while self._run("squeue", "--noheader"):
            self._run("scancel", "--user=root")
            assert time.monotonic() < deadline
            time.sleep(0.2)

    @staticmethod
    def _run(*command: str) -> str:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        return done.stdout.strip()


@pytest.fixture(autouse=True)
def no_other_job(request: pytest.FixtureRequest) -> None:
    """Cancel jobs that a failed test has left. Otherwise, they would keep the nodes, and the next test would fail."""
    if "slurm" in request.fixturenames:
        request.getfixturevalue("slurm").cancel_all()


@pytest.fixture(scope="session")
def slurm() -> Iterator[Slurm]:
    """A SLURM with two nodes of 4 CPUs, the partitions `debug` and `urgent`, and no job; `urgent` preempts `debug`.

    SLURM's commands find this SLURM by SLURM_CONF. A stand-in for `sacct` is on PATH, since there is no
    accounting database.
    """
    if shutil.which("slurmctld") is None or shutil.which("munged") is None or os.getuid() != 0:
        pytest.skip("needs SLURM: the packages slurm-wlm and munge, as root (make test-cluster installs them)")
    root = Path(tempfile.gettempdir()) / "lagem-slurm"
    changed = {
        "SLURM_TEST_ROOT": str(root),
        "SLURM_CONF": str(root / "slurm.conf"),
        "PATH": f"{SCRIPTS}{os.pathsep}{os.environ['PATH']}",
        "GLOO_SOCKET_IFNAME": "lo",
        "OMP_NUM_THREADS": "1",
    }
    before = {name: os.environ.get(name) for name in changed}
    os.environ.update(changed)
    try:
        start = subprocess.run([SCRIPTS / "start.sh"], capture_output=True, text=True, timeout=120)
        assert start.returncode == 0, start.stdout + start.stderr
        yield Slurm()
    finally:
        subprocess.run([SCRIPTS / "stop.sh"], timeout=120)
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
