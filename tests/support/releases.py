"""Write folders in the layouts of published data sets, with labels and signed distances computed from closed meshes."""

import csv
import io
import tarfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import trimesh

from lagem.geometry.distance import DistanceTo
from lagem.geometry.frame import Frame
from lagem.geometry.mesh import Mesh
from lagem.geometry.occupancy import WindingNumber
from lagem.geometry.sampling import sample_surface
from lagem.preparation.queries import draw_in_ball

SYNSETS = {"chair": "03001627", "table": "04379243"}


@dataclass
class Points:
    """Labelled points of one closed mesh, as published data sets store them; tests damage these arrays.

    surface and normals: (N, 3).
    volume and near: (Q, 3) points, with different Q.
    volume_sdf and near_sdf: (Q,) signed distances of these points, negative inside.
    frame: maps coordinates of the mesh to coordinates of these points.
    """

    surface: np.ndarray
    normals: np.ndarray
    volume: np.ndarray
    volume_sdf: np.ndarray
    near: np.ndarray
    near_sdf: np.ndarray
    frame: Frame


def toy_meshes() -> dict[str, Mesh]:
    """Return four closed meshes: a ring, a slab, a bumpy ball, and two legs under a board."""
    ball = trimesh.creation.icosphere(4)
    bumps = 1 + 0.2 * np.sin(5 * ball.vertices[:, 0]) * np.cos(4 * ball.vertices[:, 1])
    made = {
        "ring": trimesh.creation.torus(1, 0.3),
        "slab": trimesh.creation.box((1.6, 1.0, 0.12)),
        "bumpy": trimesh.Trimesh(ball.vertices * bumps[:, None], ball.faces),
        "legs": trimesh.util.concatenate(
            [
                trimesh.creation.box((1.4, 0.8, 0.1)),
                *(trimesh.creation.box((0.12, 0.12, 0.8)).apply_translation((x, 0, -0.44)) for x in (-0.5, 0.5)),
            ]
        ),
    }
    return {name: Mesh(np.asarray(mesh.vertices), np.asarray(mesh.faces)) for name, mesh in made.items()}


def sampled(mesh: Mesh, *, box: bool = False, surface: int = 6000, volume: int = 16000, near: int = 8000) -> Points:
    """Scale a closed mesh into the unit sphere or, with `box`, into [-0.99, 0.99]^3, and draw labelled points of it.

    The volume points fill the ball of radius sqrt(3) or, with `box`, [-1, 1]^3.
    """
    rng = np.random.default_rng(len(mesh.faces))
    frame = Frame.of(mesh.vertices)
    if box:
        frame = Frame(frame.center, 0.99 / float(np.abs(mesh.vertices - frame.center).max()))
    placed = Mesh(frame.to_unit(mesh.vertices), mesh.faces)
    inside, distance = WindingNumber(placed), DistanceTo(placed)
    points, normals = sample_surface(placed, surface, rng)
    sigmas = np.repeat([0.005, 0.05], near // 2)[:, None]
    around = points[rng.integers(len(points), size=len(sigmas))] + sigmas * rng.standard_normal((len(sigmas), 3))
    queries = rng.uniform(-1, 1, (volume, 3)) if box else draw_in_ball(volume, rng)
    signed = [np.where(inside(q), -1, 1) * distance(q) for q in (queries, around)]
    return Points(points, normals, queries, signed[0], around, signed[1], frame)


def save_vecset(root: Path, split: str, category: str, name: str, points: Points, **changed: np.ndarray) -> None:
    """Add one shape to a folder in the layout of 3DILG; `changed` replaces arrays in the query file of the shape."""
    synset = SYNSETS[category]
    folder, surface = root / "ShapeNetV2_point" / synset, root / "ShapeNetV2_watertight" / synset / "4_pointcloud"
    folder.mkdir(parents=True, exist_ok=True)
    surface.mkdir(parents=True, exist_ok=True)
    arrays = {
        "vol_points": points.volume.astype(np.float32),
        "vol_label": points.volume_sdf < 0,
        "near_points": points.near.astype(np.float32),
        "near_label": points.near_sdf < 0,
    }
    np.savez(folder / f"{name}.npz", **(arrays | changed))
    np.save(folder / f"{name}.npy", np.float64(points.frame.scale))
    np.savez(surface / f"{name}.npz", points=(points.surface / points.frame.scale).astype(np.float32))
    with (folder / f"{split}.lst").open("a") as file:
        file.write(f"{name}\n")


def save_lagem(root: Path, split: str, shard: str, uid: str, caption: str, points: Points, **changed: object) -> None:
    """Add one shape to a folder in the layout of LaGeM; `changed` replaces arrays in the file of the shape."""
    (root / shard).mkdir(parents=True, exist_ok=True)
    arrays: Mapping[str, object] = {
        "vol_points": points.volume.astype(np.float32),
        "vol_sdf": points.volume_sdf.astype(np.float32),
        "near_points": points.near.astype(np.float32),
        "near_sdf": points.near_sdf.astype(np.float32),
        "surface_points": points.surface.astype(np.float32),
        "shifts": points.frame.center,
        "scale": np.float64(points.frame.scale),
    }
    np.savez(root / shard / f"{uid}.npz", **(dict(arrays) | changed))
    with (root / f"{split}.csv").open("a", newline="") as file:
        csv.writer(file).writerow([shard, uid, caption])


def npz(**arrays: bytes) -> bytes:
    """Return an npz file as the release has them: each array holds the bytes of a ply file."""
    content = io.BytesIO()
    np.savez_compressed(content, **{f"{name}.ply": np.frombuffer(data, np.uint8) for name, data in arrays.items()})  # type: ignore[arg-type]
    return content.getvalue()


def save_tar(path: Path, members: dict[str, bytes | str]) -> Path:
    """Write a tar file, compressed if its name says so; a member is given as its bytes, a link as its target."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as file:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            if isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
                file.addfile(info)
            else:
                info.size = len(content)
                file.addfile(info, io.BytesIO(content))
    return path


def save_catalogue(path: Path, properties: str, models: dict[str, str]) -> Path:
    """Write a .sh3f file of Sweet Home 3D; `models` maps the path of each model to its text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("PluginFurnitureCatalog.properties", properties.encode("latin-1"))
        for name, text in models.items():
            file.writestr(name, text)
    return path


def piece(number: int, name: str, model: str, **more: str) -> str:
    """Return the properties of one piece of a .sh3f file; `more` adds or replaces properties."""
    values = {"name": name, "model": model, "category": "Living room", "width": "100", "depth": "50.5", "height": "70"}
    return "".join(f"{key}#{number}={value}\n" for key, value in {**values, "creator": "Ann", **more}.items())
