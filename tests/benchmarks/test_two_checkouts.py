"""benchmarks/two_checkouts.py trains each checkout's version of the experiment in that checkout's environment."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from toy_shapes import prepare_toys

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def earlier(tmp_path) -> Path:
    """Make a checkout that equals this one but lies in another folder; return the folder."""
    folder = tmp_path / "earlier"
    folder.mkdir()
    (folder / "experiments").symlink_to(ROOT / "experiments")
    (folder / ".venv").symlink_to(sys.prefix)
    return folder


def compare(earlier: Path, data: Path, output: Path) -> subprocess.CompletedProcess:
    words = [str(earlier), f"--data={data}", "--steps", "1", "2", "--rounds=1", f"--output={output}"]
    command = [sys.executable, str(ROOT / "benchmarks" / "two_checkouts.py"), *words]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.slow
def test_each_checkout_has_its_cost_of_a_step(earlier, tmp_path):
    if not (ROOT / ".venv").is_dir():
        pytest.fail("this checkout has no .venv: run `make setup`")
    data = prepare_toys(tmp_path / "data")
    run = compare(earlier, data, tmp_path / "costs.json")
    assert run.returncode == 0, run.stdout + run.stderr
    assert set(json.loads((tmp_path / "costs.json").read_text())["seconds_per_step"]) == {"earlier", "this"}


def test_a_fit_that_fails_is_named_with_its_end(earlier, tmp_path):
    (earlier / ".venv").unlink()
    (earlier / ".venv" / "bin").mkdir(parents=True)
    (earlier / ".venv" / "bin" / "python").write_text("#!/bin/sh\necho no environment here >&2\nexit 3\n")
    (earlier / ".venv" / "bin" / "python").chmod(0o755)
    run = compare(earlier, tmp_path, tmp_path / "costs.json")
    assert run.returncode == 1 and "no environment here" in run.stderr and str(earlier) in run.stderr
