"""Fixtures for tests of latent caches: a tiny untrained autoencoder, and a prepared folder of seven boxes."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import trimesh

from lagem.levels import LevelSpec
from lagem.models.autoencoder import Autoencoder
from lagem.preparation.settings import Settings
from lagem.weights.autoencoder import save_autoencoder
from preparation_here import prepare


@pytest.fixture
def autoencoder() -> Autoencoder:
    """Return a tiny autoencoder, with the same weights in every test."""
    torch.manual_seed(0)
    return Autoencoder(levels=[LevelSpec(16, 4, 0), LevelSpec(4, 6, 0)], width=64).eval()


@pytest.fixture
def weights(tmp_path: Path, autoencoder: Autoencoder) -> Path:
    save_autoencoder(autoencoder, tmp_path / "tiny.safetensors", num_surface_points=64)
    return tmp_path / "tiny.safetensors"


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepare seven boxes of two categories, far from the origin; box5 and box6 are for validation."""
    folder = tmp_path_factory.mktemp("boxes")
    rows = ["file,id,category,split"]
    for number in range(7):
        box = trimesh.creation.box(extents=(1, 0.2 + 0.1 * number, 0.5))
        box.apply_translation([10, number, 0]).export(folder / f"{number}.obj")
        rows.append(f"{number}.obj,box{number},{'tall' if number % 2 else 'flat'},{'val' if number > 4 else 'train'}")
    (folder / "meshes.csv").write_text("\n".join(rows))
    settings = Settings(surface=500, volume=200, near=60, inside=0, shapes_per_shard=3)
    prepare([folder / "meshes.csv"], folder / "prepared", settings)
    return folder / "prepared"


@pytest.fixture
def payload() -> Callable[[Path], dict[str, bytes]]:
    """Return a function that returns the content of all files in a folder by relative path, except the lock."""

    def read(root: Path) -> dict[str, bytes]:
        paths = sorted(path for path in root.rglob("*") if path.is_file() and path.name != ".lock")
        return {str(path.relative_to(root)): path.read_bytes() for path in paths}

    return read
