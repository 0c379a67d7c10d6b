"""Labels of 37 prepared shapes agree with methods that do not use winding numbers.

For convex polyhedra and unions of boxes, a formula gives the labels. For closed real meshes, a ray from each query is
followed to infinity, and its crossings with faces are counted with their signs, by plain numpy in float64.
"""

import csv
from pathlib import Path

import numpy as np
import pytest
import trimesh

from lagem.geometry.distance import DistanceTo
from lagem.geometry.files.loading import load_mesh
from lagem.geometry.mesh import Mesh
from lagem.preparation.settings import Settings
from lagem.preparation.shape import prepare_shape
from lagem.prepared.quantisation import decode

COUNTS = Settings(surface=200, volume=4_000, near=1_500, inside=500)
ASKED = 400  # queries of each pool
ANALYTIC, REAL = 25, 12
POOLS = ("volume_inside", "volume_outside", "near_inside", "near_outside")


def union_of_boxes(rng: np.random.Generator) -> tuple[Mesh, list[tuple[np.ndarray, np.ndarray]]]:
    """Return a mesh of two or three overlapping boxes, some of them inside out, and the bounds of each box."""
    boxes, meshes = [], []
    for _ in range(int(rng.integers(2, 4))):
        low, high = rng.uniform(-1, 0, 3), rng.uniform(0.1, 1, 3)
        made = trimesh.creation.box(bounds=(low, high))
        if rng.random() < 0.3:
            made.invert()
        boxes.append((low, high))
        meshes.append(made)
    both = trimesh.util.concatenate(meshes)
    return Mesh(both.vertices, both.faces), boxes


def crossings(mesh: Mesh, points: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """Count the faces that a ray from each of the (N, 3) points crosses, with a sign (Möller and Trumbore 1997).

    A face counts +1 if the ray crosses it in the direction of its normal, and -1 if against it. Returns (N,) sums.
    """
    a, b, c = (mesh.vertices[mesh.faces[:, corner]] for corner in range(3))
    edge1, edge2 = b - a, c - a
    across = np.cross(direction, edge2)
    scale = np.einsum("fc,fc->f", edge1, across)
    met = np.zeros(len(points), dtype=np.int64)
    parallel = scale == 0
    scale = np.where(parallel, np.inf, scale)
    for number, point in enumerate(points):
        offset = point - a
        u = np.einsum("fc,fc->f", offset, across) / scale
        turned = np.cross(offset, edge1)
        v = turned @ direction / scale
        along = np.einsum("fc,fc->f", turned, edge2) / scale
        hit = ~parallel & (u >= 0) & (v >= 0) & (u + v <= 1) & (along > 0)
        met[number] = np.sign(-scale[hit]).sum()
    return met


def disagreements(path: Path, mesh: Mesh, inside) -> np.ndarray:
    """Return the distances to the surface, in unit-sphere units, of stored queries with a wrong label.

    A label is wrong if it differs from what the function `inside` returns.
    """
    shape, measures = prepare_shape(path, path.stem, "any", "train", COUNTS)
    assert measures.route == "own"
    wrong = []
    for pool in POOLS:
        stored = shape.pools[pool][:ASKED]
        assert len(stored) > 50, pool
        points = decode(pool, stored).astype(np.float64)
        denied = inside(shape.frame.to_source(points)) != pool.endswith("inside")
        wrong.append(points[denied])
    return DistanceTo(mesh.in_frame(shape.frame))(np.concatenate(wrong)) if sum(map(len, wrong)) else np.zeros(0)


@pytest.mark.parametrize("seed", range(0, ANALYTIC, 2))
def test_labels_of_a_convex_polyhedron_are_those_of_its_planes(seed, tmp_path):
    hull = trimesh.convex.convex_hull(np.random.default_rng(seed).normal(size=(24, 3)) * [1, 0.6, 0.3] + 5)
    mesh = Mesh(hull.vertices, hull.faces)
    mesh.save(tmp_path / "hull.ply")
    normals, _ = mesh.normals_and_areas()
    offsets = np.einsum("fc,fc->f", normals, mesh.vertices[mesh.faces[:, 0]])
    found = disagreements(tmp_path / "hull.ply", mesh, lambda points: (points @ normals.T < offsets).all(axis=1))
    assert (found < 1e-4).all()


@pytest.mark.parametrize("seed", range(1, ANALYTIC, 2))
def test_labels_of_overlapping_boxes_are_those_of_their_union(seed, tmp_path):
    mesh, boxes = union_of_boxes(np.random.default_rng(seed))
    mesh.save(tmp_path / "boxes.ply")

    def inside(points: np.ndarray) -> np.ndarray:
        return np.any([((points > low) & (points < high)).all(axis=1) for low, high in boxes], axis=0)

    assert (disagreements(tmp_path / "boxes.ply", mesh, inside) < 1e-4).all()


def real_meshes(folder: Path) -> list[Path]:
    with (folder / "manifest.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["watertight"] == "True" and row["file"].startswith("train/")]
    paths = [folder / row["file"] for row in rows if int(row["n_faces"]) < 3_000]
    return paths[:: len(paths) // REAL][:REAL]


def test_labels_of_real_closed_meshes_are_those_of_rays(shared_meshes):
    direction = np.array([0.3, 0.5, 0.811])  # oblique: such rays hardly ever meet an edge of a mesh
    wrong = {}
    paths = real_meshes(shared_meshes)
    for path in paths:
        mesh = load_mesh(path)
        found = disagreements(path, mesh, lambda points, mesh=mesh: crossings(mesh, points, direction) != 0)
        if (found >= 1e-4).any():
            wrong[path.stem] = found.max()
    assert len(paths) == REAL and wrong == {}
