"""The benchmark index_scale.py runs on a small index."""

import importlib.util
from pathlib import Path

import pytest

_spec = importlib.util.spec_from_file_location(
    "index_scale", Path(__file__).resolve().parents[2] / "benchmarks" / "index_scale.py"
)
index_scale = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(index_scale)


@pytest.mark.parametrize("batches", [1, 2, 9])
def test_a_few_batches_are_measured_too(tmp_path, batches):
    index_scale.make_folder(tmp_path / "data", 320)
    assert index_scale.begin(tmp_path / "data", batches, 0)["most open files and maps"] > 0
