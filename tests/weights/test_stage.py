"""The description of a stage is checked against the size of its file before a network is built."""

import json
from dataclasses import asdict, replace
from pathlib import Path

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


@pytest.mark.parametrize("number", [2, 3])
def test_more_channels_of_a_level_in_use_than_the_file_holds_are_refused_before_they_are_allocated(number, path):
    load_stage(path)
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    description = json.loads(metadata["stage"])
    description["levels"] = [asdict(level) for level in LEVELS]
    description["levels"][number - 1]["latent_dim"] = 4_000_000_000
    description.pop("crc32")  # as files of earlier versions have none
    save_file(load_file(path), path, metadata={"stage": json.dumps(description)})
    with pytest.raises(WeightsError, match="describes a network of at least"):
        load_stage(path)
