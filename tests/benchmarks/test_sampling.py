"""Tests of benchmarks/sampling.py: the files that it writes for a tiny cascade."""

import json
import sys
from pathlib import Path

import pytest

import small_cascade as small
from lagem.generation.bundle import write_bundle

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import sampling


def run(*words: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["sampling.py", *words])
        sampling.main()


def table_of(folder: Path, *options: str) -> list[dict]:
    """Run the benchmark with 2 samples of each of 2 categories, and return the results that it wrote as JSON."""
    autoencoder, *stages = small.write_cascade(folder)
    bundle = write_bundle(autoencoder, stages, folder / "cascade")
    words = [str(bundle), "--output", str(folder / "out"), "--category", "chair", "mug", "--count", "2", *options]
    run(*words, "--resolution", "16")
    assert "evaluations" in (folder / "out" / "sampling.md").read_text()
    return json.loads((folder / "out" / "sampling.json").read_text())


def test_every_stage_has_its_seconds_and_evaluations_and_the_last_side_is_the_measure(tmp_path):
    few, mixed, many = table_of(
        tmp_path, "--steps", "2", "2,3,4", "5", "--batch-size", "1", "--guidance", "1", "2", "1"
    )
    assert few["evaluations"] == {"3": 3, "2": 6, "1": 3}  # 2 N - 1; twice that with guidance
    assert mixed["evaluations"] == {"3": 7, "2": 10, "1": 3}
    for side in (few, mixed, many):
        assert set(side["seconds"]) == {"0", "1", "2", "3"}
        assert all(len(values) == 4 and min(values) > 0 for values in side["seconds"].values())
    assert many["distances"] == [0.0] * 4
    assert max(distance for distance in few["distances"] if distance is not None) > 0


@pytest.mark.slow
def test_references_give_the_measures_of_generation(tmp_path):
    (side,) = table_of(tmp_path, "--steps", "2", "--references", "procedural:8+32")
    assert {"mmd_chamfer", "one_nna_chamfer", "coverage_chamfer"} <= set(side["quality"]["means"])
    assert side["quality"]["shares"]["recognised"]["count"] == pytest.approx(4, abs=2)


def test_a_folder_of_an_earlier_run_is_refused_before_anything_is_sampled(tmp_path, capsys):
    (tmp_path / "steps_2_3_4").mkdir()
    words = ["--steps", "5", "2,3,4", "--references", "procedural:8+32"]
    with pytest.raises(SystemExit) as stop:
        run("absent", "--output", str(tmp_path), *words)
    assert stop.value.code == 2
    refusal = f"{tmp_path}/steps_2_3_4 is from an earlier run. Remove it, or choose another --output.\n"
    assert capsys.readouterr().err == refusal
