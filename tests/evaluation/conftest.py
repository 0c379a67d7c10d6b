"""A network whose surface is known, and a small prepared folder with a training set and shapes that copy it."""

from collections.abc import Callable
from pathlib import Path
from shutil import copytree, ignore_patterns

import pytest
import torch
import trimesh

from lagem.geometry.mesh import Mesh
from lagem.levels import LevelSpec
from lagem.models.autoencoder import Autoencoder
from lagem.preparation.pipeline import prepare
from lagem.preparation.settings import Settings
from lagem.weights.autoencoder import save_autoencoder

TRAINING = {
    "ball": trimesh.creation.icosphere(4),
    "brick": trimesh.creation.box((1, 0.5, 0.25)),
    "cube": trimesh.creation.box((1, 1, 1)),
    "rod": trimesh.creation.box((0.1, 0.1, 1)),
}
VALIDATION = {
    "again": trimesh.creation.icosphere(4, radius=3),  # in the frame it is the ball
    "nearly": trimesh.creation.box((1, 1, 0.9)),
    "torus": trimesh.creation.torus(1, 0.3),
}


@pytest.fixture
def weights_of(tmp_path) -> Callable[[float], Path]:
    """Weights of a network that gives one logit everywhere: with a positive one its surface is the box [-1, 1]^3."""

    def save(logit: float) -> Path:
        autoencoder = Autoencoder(levels=[LevelSpec(8, 4, depth=0)], width=64)
        torch.nn.init.zeros_(autoencoder.to_logits.weight)
        torch.nn.init.constant_(autoencoder.to_logits.bias, logit)
        save_autoencoder(autoencoder, tmp_path / "weights.safetensors", num_surface_points=64)
        return tmp_path / "weights.safetensors"

    return save


@pytest.fixture
def weights(weights_of) -> Path:
    return weights_of(1.0)


@pytest.fixture(scope="session")
def with_training(tmp_path_factory) -> Path:
    """A prepared folder of 4 training and 3 validation shapes."""
    folder = tmp_path_factory.mktemp("with_training")
    rows = ["file,id,category,split"]
    for split, shapes in (("train", TRAINING), ("val", VALIDATION)):
        for id, made in shapes.items():
            Mesh(made.vertices, made.faces).save(folder / f"{id}.ply")
            rows.append(f"{id}.ply,{id},toys,{split}")
    (folder / "list.csv").write_text("\n".join(rows))
    prepare([folder / "list.csv"], folder / "out", Settings(surface=4_000, volume=4_000, near=1_000, inside=100))
    return folder / "out"


@pytest.fixture
def folder(with_training, tmp_path) -> Path:
    """A copy of that folder, as no evaluation has seen it."""
    return copytree(with_training, tmp_path / "prepared", ignore=ignore_patterns(".nearest_train*"))
