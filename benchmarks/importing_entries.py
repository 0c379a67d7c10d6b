"""Writes synthetic entries in the layouts of published data sets, for benchmarks/importing.py.

The entries are of 24 closed meshes, with few points and correct labels, so that every test of an import runs and
passes. They have different ids; those of `vecset` and `lagem` are hard links to 24 sets of files.
"""

import csv
import hashlib
import io
import os
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import trimesh

from lagem.geometry.distance import DistanceTo
from lagem.geometry.frame import Frame
from lagem.geometry.mesh import Mesh
from lagem.geometry.occupancy import WindingNumber
from lagem.geometry.sampling import sample_surface
from lagem.importing.synsets import SYNSETS
from lagem.preparation.queries import draw_in_ball

DISTINCT = 24
SURFACE, VOLUME, NEAR = 600, 1000, 600  # points of an entry
PER_FOLDER = 1000  # entries in a shard, a synset or a tar file of the release
SPLITS = ("train", "val")  # one entry in 20 is for validation


def closed_mesh(number: int) -> Mesh:
    """Return one of `DISTINCT` closed meshes, in the unit sphere: boxes, cylinders, rings and capsules."""
    rng = np.random.default_rng(number)
    a, b, c = rng.uniform(0.3, 1.0, 3)
    made = [
        lambda: trimesh.creation.box((a, b, c)).subdivide().subdivide(),
        lambda: trimesh.creation.cylinder(a / 2, b, sections=24),
        lambda: trimesh.creation.torus(1, 0.25 + 0.3 * a, major_sections=24, minor_sections=12),
        lambda: trimesh.creation.capsule(c, a / 2, count=(12, 12)),
    ][number % 4]()
    vertices = np.asarray(made.vertices, dtype=np.float64)
    return Mesh(Frame.of(vertices).to_unit(vertices), np.asarray(made.faces))


def labelled_points(number: int, *, box: bool) -> dict[str, np.ndarray]:
    """Return the arrays of an entry in the names of the `lagem` layout; in a box layout, queries fill [-1, 1]^3."""
    mesh, rng = closed_mesh(number), np.random.default_rng(number)
    inside, distance = WindingNumber(mesh), DistanceTo(mesh)
    surface, _ = sample_surface(mesh, SURFACE, rng)
    sigmas = np.repeat([0.01, 0.05], NEAR // 2)[:, None]
    near = surface[rng.integers(SURFACE, size=NEAR)] + sigmas * rng.standard_normal((NEAR, 3))
    volume = rng.uniform(-1, 1, (VOLUME, 3)) if box else draw_in_ball(VOLUME, rng)
    signed = [np.where(inside(queries), -1, 1) * distance(queries) for queries in (volume, near)]
    arrays = {"vol_points": volume, "vol_sdf": signed[0], "near_points": near, "near_sdf": signed[1]}
    arrays["surface_points"] = surface
    return {name: array.astype(np.float32) for name, array in arrays.items()}


def names(entries: int) -> Iterator[tuple[int, str, str]]:
    """Yield the number of each entry's folder, its id, and its split."""
    for number in range(entries):
        id = hashlib.md5(str(number).encode()).hexdigest()
        yield number // PER_FOLDER, id, SPLITS[number % 20 == 0]


def write_lagem(root: Path, entries: int) -> None:
    """Write a folder in the layout of the authors of LaGeM, with captions."""
    originals = root / ".originals"
    originals.mkdir(parents=True)
    for number in range(DISTINCT):
        arrays = labelled_points(number, box=False)
        np.savez(originals / f"{number}.npz", **arrays, shifts=np.zeros(3), scale=np.float64(1))
    rows: dict[str, list[list[str]]] = {split: [] for split in SPLITS}
    for number, (folder, id, split) in enumerate(names(entries)):
        (root / f"{folder:03d}").mkdir(exist_ok=True)
        os.link(originals / f"{number % DISTINCT}.npz", root / f"{folder:03d}" / f"{id}.npz")
        rows[split].append([f"{folder:03d}", id, f"a shape with the number {number}"])
    for split, lines in rows.items():
        with (root / f"{split}.csv").open("w", newline="") as file:
            csv.writer(file).writerows(lines)


def write_vecset(root: Path, entries: int) -> None:
    """Write a folder in the layout of 3DILG; every synset has a folder of queries and one of surfaces."""
    originals = root / ".originals"
    originals.mkdir(parents=True)
    for number in range(DISTINCT):
        arrays = labelled_points(number, box=True)
        queries = {name: arrays[name] for name in ("vol_points", "near_points")}
        labels = {"vol_label": arrays["vol_sdf"] < 0, "near_label": arrays["near_sdf"] < 0}
        np.savez(originals / f"{number}.queries.npz", **queries, **labels)
        np.savez(originals / f"{number}.surface.npz", points=arrays["surface_points"])
        np.save(originals / f"{number}.npy", np.float64(1))
    synsets = list(SYNSETS)
    lists: dict[Path, list[str]] = {}
    for number, (folder, id, split) in enumerate(names(entries)):
        synset = synsets[folder % len(synsets)]
        points = root / "ShapeNetV2_point" / synset
        surfaces = root / "ShapeNetV2_watertight" / synset / "4_pointcloud"
        points.mkdir(parents=True, exist_ok=True)
        surfaces.mkdir(parents=True, exist_ok=True)
        original = number % DISTINCT
        os.link(originals / f"{original}.queries.npz", points / f"{id}.npz")
        os.link(originals / f"{original}.npy", points / f"{id}.npy")
        os.link(originals / f"{original}.surface.npz", surfaces / f"{id}.npz")
        lists.setdefault(points / f"{split}.lst", []).append(f"{id}\n")
    for path, lines in lists.items():
        path.write_text("".join(lines))


def write_hy3d(root: Path, entries: int) -> None:
    """Write tar files in the layout of the part level of HY3D-Bench."""
    contents = []
    with tempfile.TemporaryDirectory() as scratch:
        for number in range(DISTINCT):
            closed_mesh(number).save(path := Path(scratch) / "full.ply")
            packed = io.BytesIO()
            np.savez_compressed(packed, **{"full.ply": np.frombuffer(path.read_bytes(), np.uint8)})
            contents.append(packed.getvalue())
    root.mkdir()
    listed = list(names(entries))
    for first in range(0, entries, PER_FOLDER):
        with tarfile.open(root / f"{first // PER_FOLDER:03d}.tar.gz", "w:gz", compresslevel=1) as tar:
            for number, (folder, id, _) in enumerate(listed[first : first + PER_FOLDER], first):
                info = tarfile.TarInfo(f"{folder:03d}/{id}.npz")
                info.size = len(contents[number % DISTINCT])
                tar.addfile(info, io.BytesIO(contents[number % DISTINCT]))
