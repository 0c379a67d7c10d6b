"""A bundle of a tiny cascade, and meshes to encode with it."""

import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import trimesh

from lagem.bundle import write_bundle
from lagem.geometry import Mesh

_spec = importlib.util.spec_from_file_location(
    "small_cascade", Path(__file__).resolve().parents[1] / "small_cascade.py"
)
small = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(small)


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
