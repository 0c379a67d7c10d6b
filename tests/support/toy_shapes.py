"""A small prepared folder, in which a validation shape copies a training shape, and a network with a known surface."""

from collections.abc import Collection
from pathlib import Path

import torch
import trimesh

from lagem.geometry.mesh import Mesh
from lagem.levels import LevelSpec
from lagem.models.autoencoder import Autoencoder
from lagem.preparation.settings import Settings
from lagem.weights.autoencoder import save_autoencoder
from preparation_here import prepare

TRAINING = {
    "ball": trimesh.creation.icosphere(4),
    "brick": trimesh.creation.box((1, 0.5, 0.25)),
    "cube": trimesh.creation.box((1, 1, 1)),
    "rod": trimesh.creation.box((0.05, 0.05, 2)),
}
VALIDATION = {
    "again": trimesh.creation.icosphere(4, radius=3),  # the ball at another size, which preparation normalises
    "nearly": trimesh.creation.box((1, 1, 0.9)),
    "torus": trimesh.creation.torus(1, 0.3),
}
CATEGORIES = {"ball": "balls"}  # the category of all other shapes is `toys`
SETTINGS = Settings(surface=5_000, volume=8_000, near=1_000, inside=1_000, shapes_per_shard=1)


def prepare_toys(
    folder: Path, *, settings: Settings = SETTINGS, only: Collection[str] = (*TRAINING, *VALIDATION)
) -> Path:
    """Prepare all shapes, or only those with some ids; return the path of the prepared folder."""
    rows = ["file,id,category,split"]
    for id in only:
        made = (TRAINING | VALIDATION)[id]
        Mesh(made.vertices, made.faces).save(folder / f"{id}.ply")
        rows.append(f"{id}.ply,{id},{CATEGORIES.get(id, 'toys')},{'train' if id in TRAINING else 'val'}")
    (folder / "list.csv").write_text("\n".join(rows))
    prepare([folder / "list.csv"], folder / "out", settings)
    return folder / "out"


def write_meshes(folder: Path) -> None:
    """Write a ball, a brick and a torus as ply files."""
    made = {"ball": trimesh.creation.icosphere(3), "brick": TRAINING["brick"], "torus": VALIDATION["torus"]}
    for name, mesh in made.items():
        Mesh(mesh.vertices, mesh.faces).save(folder / f"{name}.ply")


def damage_shard(folder: Path, id: str) -> Path:
    """Cut the last byte off the shard of a shape, and return the path of the shard."""
    rows = [line.split(",") for line in (folder / "index.csv").read_text().splitlines()]
    (name,) = [cell for row in rows if row[0] == id for cell in row if cell.endswith(".safetensors")]
    path = folder / "shards" / name
    path.write_bytes(path.read_bytes()[:-1])
    return path


def save_constant_network(path: Path, logit: float) -> Path:
    """Save a network whose logit is the same everywhere; if it is positive, the surface is the box [-1, 1]^3."""
    autoencoder = Autoencoder(levels=[LevelSpec(8, 4, depth=0)], width=64)
    torch.nn.init.zeros_(autoencoder.to_logits.weight)
    torch.nn.init.constant_(autoencoder.to_logits.bias, logit)
    save_autoencoder(autoencoder, path, num_surface_points=64)
    return path
