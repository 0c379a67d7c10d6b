"""Chains of commands that run on this machine, for the tests of `lagem submit --local --chain`."""

import re
import shlex
import subprocess
import time
from pathlib import Path

import trimesh
import yaml

import small_run
import training_process
from deadlines import HANG

QUICK = "completion bash"  # a command that takes a tenth of a second
COUNTS = "--surface 60 --volume 400 --near 50 --inside 0"
PREPARE = f"prepare {{folder}}/meshes --output {{folder}}/data {COUNTS}"


class Chains:
    """Writes a chain to a file and runs it on this machine; its folder is `folder`."""

    def __init__(self, root: Path) -> None:
        self.file = root / "chain.yaml"
        self.folder = root / "my runs" / "chain"
        self.words = ["submit", "--local", "--chain", str(self.file), "--runs", str(self.folder.parent)]

    def write(self, *steps: dict) -> None:
        self.file.write_text(yaml.safe_dump(list(steps)))

    def run(self) -> tuple[int, list[str], str]:
        """Run the chain in a process; return the exit code, the lines that are not indented, and the last line."""
        process = training_process.launch(self.words)
        output, _ = process.communicate(timeout=HANG)
        lines = output.splitlines()
        return process.returncode, [line for line in lines if not line.startswith(" ")], lines[-1]

    def results(self) -> dict[str, str]:
        """Run the chain; return what its lines say of each step: succeeded, skipped, started or failed."""
        _, lines, _ = self.run()
        found = {}
        for line in lines:
            if step := re.search(r"step \d+ of \d+ \((\w+)\):? .*?(succeeded in|skipped|started|failed)", line):
                found[step[1]] = step[2].removesuffix(" in")
        return found

    def log(self, step: str) -> str:
        return (self.folder / step / "local.out").read_text()

    def add_mesh(self) -> None:
        (self.folder / "meshes").mkdir(parents=True)
        trimesh.creation.box((1, 2, 3)).export(self.folder / "meshes" / "box.ply")


def step(name: str, command: str = QUICK, **more) -> dict:
    return {"name": name, "command": command, **more}


def long_fit(chains: Chains) -> dict:
    """Return a training that does not end by itself."""
    words = small_run.small_fit(chains.folder / "training", steps=10**6)
    return step("training", shlex.join(words), after=["first"])


def wait_until(is_so, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + HANG
    while not is_so():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.02)
