"""Fixtures: a network whose surface is known, and a small prepared folder with a training set."""

from collections.abc import Callable
from pathlib import Path
from shutil import copytree, ignore_patterns

import pytest

from toy_shapes import prepare_toys, save_constant_network


@pytest.fixture
def weights_of(tmp_path) -> Callable[[float], Path]:
    """A function that saves a network whose logit is the given number everywhere, always to the same file."""
    return lambda logit: save_constant_network(tmp_path / "weights.safetensors", logit)


@pytest.fixture
def weights(weights_of) -> Path:
    return weights_of(1.0)


@pytest.fixture(scope="session")
def with_training(tmp_path_factory) -> Path:
    """A prepared folder of 4 training and 3 validation shapes, with one shard for each shape."""
    return prepare_toys(tmp_path_factory.mktemp("with_training"))


@pytest.fixture
def folder(with_training, tmp_path) -> Path:
    """A copy of the folder `with_training`, without cached results of other evaluations."""
    return copytree(with_training, tmp_path / "prepared", ignore=ignore_patterns(".nearest_train*"))
