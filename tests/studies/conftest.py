"""A bundle of a tiny cascade, and meshes to encode with it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import trimesh

import small_cascade as small
from lagem.generation.bundle import write_bundle
from lagem.geometry.mesh import Mesh


@pytest.fixture(scope="session")
def bundle(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("cascade")
    autoencoder, *stages = small.write_cascade(folder)
    return write_bundle(autoencoder, stages, folder / "cascade")


@pytest.fixture
def box() -> Callable[[Path, float], Path]:
    """Writes a box of a given height to a file."""

    def write(path: Path, height: float) -> Path:
        made = trimesh.creation.box((1, 0.6, height))
        Mesh(np.asarray(made.vertices), np.asarray(made.faces)).save(path)
        return path

    return write
