"""The description of a stage is checked against the size of its file before a network is built."""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from lagem.levels import LevelSpec
from lagem.weights.errors import WeightsError
from lagem.weights.stage import StageSpec, load_stage, save_stage

LEVELS = (LevelSpec(8, 4, 0), LevelSpec(4, 6, 0), LevelSpec(2, 8, 0))


@pytest.fixture
def path(tmp_path) -> Path:
    conditions = {"num_categories": None, "condition_dim": None, "drop_condition": 0.0, "max_coarser_sigma": 0.0}
    spec = StageSpec(levels=LEVELS, level=2, width=64, depth=1, **conditions, autoencoder="0123456789abcdef")
    save_stage(spec.backbone(), spec, tmp_path / "stage.safetensors")
    return tmp_path / "stage.safetensors"


@pytest.mark.parametrize(
    ("names", "expected"),
    [((), "a list of 2 entries"), (("a", "b", "c"), "a list of 2 entries"), (("a", "a"), "a list without duplicates")],
)
def test_a_stage_needs_one_name_for_each_category(names, expected, path):
    conditions = {"num_categories": 2, "condition_dim": None, "drop_condition": 0.0, "max_coarser_sigma": 0.0}
    spec = StageSpec(levels=LEVELS, level=2, width=64, depth=1, **conditions, category_names=("a", "b"))
    save_stage(spec.backbone(), spec, path)
    assert load_stage(path)[1] == spec
    save_stage(spec.backbone(), replace(spec, category_names=names), path)
    with pytest.raises(WeightsError, match=rf"category_names is .*, but must be {expected}"):
        load_stage(path)


def change_description(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the description of the stage in a file, and remove its checksums, which earlier versions did not write."""
    with safe_open(path, "pt") as file:
        description = json.loads(file.metadata()["stage"])
    change(description)
    description.pop("crc32")
    save_file(load_file(path), path, metadata={"stage": json.dumps(description)})


def test_an_axis_comes_back_and_only_a_known_axis_is_stored(path):
    _, spec = load_stage(path)
    assert spec.up is None and "up" not in spec.as_plain()
    for up in ("y", "z"):
        save_stage(spec.backbone(), replace(spec, up=up), path)
        assert load_stage(path)[1].up == up


@pytest.mark.parametrize("up", ["x", "", None, ["y"], 1])
def test_another_axis_than_y_or_z_is_refused(up, path):
    change_description(path, lambda description: description.update(up=up))
    with pytest.raises(WeightsError, match="up is .*, but must be one of y, z"):
        load_stage(path)


@pytest.mark.parametrize("number", [2, 3])
def test_more_channels_of_a_level_in_use_than_the_file_holds_are_refused_before_they_are_allocated(number, path):
    load_stage(path)
    levels = [asdict(level) for level in LEVELS]
    levels[number - 1]["latent_dim"] = 4_000_000_000
    change_description(path, lambda description: description.update(levels=levels))
    with pytest.raises(WeightsError, match="describes a network of at least"):
        load_stage(path)
