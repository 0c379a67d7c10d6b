"""Tests of benchmarks/importing.py: its entries pass all tests of an import, and a small run gives a row of results."""

import json
import sys
from pathlib import Path

import pytest

from lagem.importing import hy3d
from lagem.importing.run import import_data
from lagem.preparation import pipeline
from preparation_here import run_in_this_process

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import importing
from importing_entries import DISTINCT, write_hy3d, write_lagem, write_vecset


@pytest.mark.parametrize(("layout", "write"), [("lagem", write_lagem), ("vecset", write_vecset)])
def test_every_distinct_entry_is_imported(layout, write, tmp_path, monkeypatch):
    monkeypatch.setattr(pipeline, "run_in_processes", run_in_this_process)
    write(tmp_path / "source", DISTINCT)
    records = import_data(layout, tmp_path / "source", tmp_path / "data")
    assert len(records) == DISTINCT and not [record.reason for record in records if record.status == "refused"]


def test_every_distinct_mesh_is_imported(tmp_path, monkeypatch):
    monkeypatch.setattr(hy3d, "run_in_processes", run_in_this_process)
    write_hy3d(tmp_path / "source", DISTINCT)
    assert f"{DISTINCT} meshes are imported" in hy3d.import_hy3d(tmp_path / "source", tmp_path / "out")


def test_rates_are_those_of_the_thirds_and_growth_is_the_slope():
    times = [0, 1, *range(2, 32), *range(33, 92, 2), *range(94, 184, 3), 190]
    done = [0, 0, *range(1, 91), 90]
    samples = [
        importing.Sample(float(seconds), number, main=50 + number / 1024, workers=40.0)
        for seconds, number in zip(times, done, strict=True)
    ]
    assert importing.rates(samples) == pytest.approx([1, 1 / 2, 1 / 3])
    assert importing.growth(samples, "main") == pytest.approx(1024)
    assert importing.growth(samples, "workers") == pytest.approx(0, abs=1e-6)


@pytest.mark.slow
def test_a_killed_import_keeps_what_was_imported(tmp_path, monkeypatch):
    options = ["--layouts", "lagem", "--entries", "40", "--every", "0.01", "--folder", str(tmp_path)]
    monkeypatch.setattr("sys.argv", ["importing.py", *options, "--output", str(tmp_path / "rows.json")])
    importing.main()
    (row,) = json.loads((tmp_path / "rows.json").read_text())
    assert row["imported"] == 40 and row["kept_after_kill"] >= 20
    assert row["kept_after_kill"] + row["imported_after_kill"] == 40
    assert len(row["rates"]) == 3 and row["peak_mib"]["main"] > 0 and row["peak_mib"]["workers"] > 0
