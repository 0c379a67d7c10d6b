"""Tests of gpu_minutes.sh, rehearsed on the CPU, and of the benchmarks that it runs, at sizes that take seconds."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "benchmarks" / "gpu_minutes.sh"
COMMANDS = ("furthest_points", "decoding", "extraction", "table_3_small", "table_3_large", "gpu_tests")
SUMMARY = re.compile(r"(\w+): exit code (\d+), \d+ s of at most (\d+)")


def run_script(*arguments: str, **variables: str) -> subprocess.CompletedProcess:
    command = ["bash", str(SCRIPT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **variables})


def summary_of(folder: Path) -> list[tuple[str, ...]]:
    """Return the name, the exit code and the time limit of each command, as listed in summary.txt."""
    return [SUMMARY.fullmatch(line).groups() for line in (folder / "summary.txt").read_text().splitlines()]


@pytest.fixture(scope="module")
def rehearsal(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("gpu_minutes")
    run = run_script("--rehearse", str(folder))
    logs = "".join(path.read_text()[-2000:] for path in folder.glob("*.log"))
    assert run.returncode == 0, run.stdout + run.stderr + logs
    return folder


@pytest.mark.slow
def test_all_that_is_measured_on_a_gpu_takes_less_than_8_minutes(rehearsal):
    names, codes, limits = zip(*summary_of(rehearsal), strict=True)
    assert names == COMMANDS and set(codes) == {"0"}
    assert sum(map(int, limits)) < 8 * 60
    assert {path.stem for path in rehearsal.glob("*.json")} == set(COMMANDS) - {"gpu_tests"}


def test_a_command_that_fails_stops_no_other(tmp_path):
    assert run_script("--rehearse", str(tmp_path), PYTHON="false").returncode == 1
    assert [(name, code) for name, code, _ in summary_of(tmp_path)] == [(name, "1") for name in COMMANDS]


def test_a_machine_without_cuda_is_refused_in_one_line(tmp_path):
    run = run_script(str(tmp_path / "results"), CUDA_VISIBLE_DEVICES="")
    assert run.returncode == 2 and run.stdout == "" and len(run.stderr.splitlines()) == 1
    assert "torch cannot use one" in run.stderr and not (tmp_path / "results").exists()


@pytest.mark.slow
def test_every_way_to_compute_a_step_is_measured_and_has_the_same_loss(rehearsal):
    rows = {(row["model"], row["step"]): row for row in json.loads((rehearsal / "table_3_small.json").read_text())}
    assert set(rows) == {(model, step) for model in ("LaGeM", "VecSet") for step in ("plain", "lean", "leanest")}
    for (model, step), row in rows.items():
        plain = rows[model, "plain"]
        assert abs(row["loss"] - plain["loss"]) < 1e-5
        assert len(row["seconds"]) == 2 and min(row["seconds"]) > 0 and row["peak_bytes"] > 0
        assert row["saved_bytes"] < plain["saved_bytes"] or step == "plain"
        assert ("to_vecset" in row) == (model == "LaGeM")


@pytest.mark.slow
def test_folded_queries_are_measured_against_plain_ones_and_give_the_same_logits(rehearsal):
    rows = json.loads((rehearsal / "decoding.json").read_text())
    assert [row["network"] for row in rows] == ["autoencoder", "large", "paper's size"]
    for row in rows:
        assert row["largest_difference"] < 1e-4
        assert set(row["seconds"]) == {"plain", "folded", "product"} and min(row["limit"]) > 0


@pytest.mark.slow
def test_extraction_is_measured_against_the_dense_grid_and_finds_the_same(rehearsal):
    (row,) = json.loads((rehearsal / "extraction.json").read_text())
    assert row["differing"] == row["lost"] == 0 and row["queries"] < 65**3
    assert 0 < row["unavoidable"] < 1 and 0 < row["in_queries"] < row["seconds"] < row["plain_dense"]


@pytest.mark.slow
def test_every_backend_selects_the_same_furthest_points(rehearsal):
    rows = json.loads((rehearsal / "furthest_points.json").read_text())
    assert rows[0]["side"] == "torch" and all(row["same_points"] for row in rows)
