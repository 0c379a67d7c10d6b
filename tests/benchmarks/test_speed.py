"""The benchmarks of training steps and of decoding, at sizes that take seconds."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def rows_of(name: str, output: Path) -> list[dict]:
    program = [sys.executable, str(ROOT / "benchmarks" / f"{name}.py"), "--quick", "--output", str(output)]
    run = subprocess.run(program, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert run.returncode == 0, run.stderr[-3000:]
    return json.loads(output.read_text())


def test_every_way_to_compute_a_step_is_measured_and_has_the_same_loss(tmp_path):
    rows = {(row["model"], row["step"]): row for row in rows_of("training_step", tmp_path / "steps.json")}
    assert set(rows) == {(model, step) for model in ("LaGeM", "VecSet") for step in ("plain", "lean", "leanest")}
    for (model, step), row in rows.items():
        plain = rows[model, "plain"]
        assert abs(row["loss"] - plain["loss"]) < 1e-5
        assert len(row["seconds"]) == 2 and min(row["seconds"]) > 0
        assert row["saved_bytes"] < plain["saved_bytes"] or step == "plain"
        assert ("to_vecset" in row) == (model == "LaGeM")


def test_folded_queries_are_measured_against_plain_ones_and_give_the_same_logits(tmp_path):
    rows = rows_of("decoding", tmp_path / "decoding.json")
    assert [row["network"] for row in rows] == ["autoencoder", "large", "paper's size"]
    for row in rows:
        assert row["largest_difference"] < 1e-4
        assert set(row["seconds"]) == {"plain", "folded"}
