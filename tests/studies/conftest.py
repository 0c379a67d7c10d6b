"""A bundle of a tiny cascade, meshes to encode with it, and prepared shapes to study levels with."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import trimesh

import small_cascade as small
from lagem.generation.bundle import write_bundle
from lagem.geometry.mesh import Mesh
from lagem.preparation.settings import Settings
from toy_shapes import VALIDATION, prepare_toys


@pytest.fixture(scope="session")
def bundle(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("cascade")
    autoencoder, *stages = small.write_cascade(folder)
    return write_bundle(autoencoder, stages, folder / "cascade")


@pytest.fixture(scope="session")
def prepared(tmp_path_factory) -> Path:
    """A prepared folder of 3 validation shapes, with one shard for each shape."""
    settings = Settings(surface=1_000, volume=1_000, near=500, inside=50, shapes_per_shard=1)
    return prepare_toys(tmp_path_factory.mktemp("toys"), settings=settings, only=VALIDATION)


@pytest.fixture
def box() -> Callable[[Path, float], Path]:
    """A function that writes a box of a given height to a file."""

    def write(path: Path, height: float) -> Path:
        made = trimesh.creation.box((1, 0.6, height))
        Mesh(np.asarray(made.vertices), np.asarray(made.faces)).save(path)
        return path

    return write
