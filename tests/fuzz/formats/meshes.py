"""Fuzz meshes and point clouds in every dialect that the tests can write."""

import io
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
from numpy.random import Generator

import dialects
from damage import Files, chosen
from lagem.geometry.files.loading import MESH_ENDINGS, POINT_ENDINGS, load_mesh, load_points
from lagem.sources.unit_shape import load_shape
from tries import Door, Format


def clouds() -> Iterator[tuple[str, Files]]:
    """Yield the name of each dialect of point clouds, and a file in that dialect."""
    points = dialects.ball().vertices
    for dtype in ("<f4", ">f8", "<i2"):
        file = io.BytesIO()
        np.save(file, np.asfortranarray(points.astype(dtype)) if dtype == ">f8" else points.astype(dtype))
        yield f"npy, {dtype}", {"cloud.npy": file.getvalue()}
    rows = [" ".join(map(repr, row)) for row in points.tolist()]
    yield "xyz", {"cloud.xyz": ("# a comment\n" + "\n".join(rows) + "\n").encode()}
    yield "xyz, normals", {"cloud.xyz": "\r\n".join(f"{row} {row}" for row in rows).encode()}


@cache
def sources() -> list[tuple[str, Files]]:
    """Return the names of all dialects of meshes and point clouds, each with valid files."""
    solids = (dialects.box(), dialects.c_prism(), dialects.ball())
    return [*(entry for solid in solids for entry in dialects.dialects(solid)), *clouds()]


def mesh(folder: Path) -> None:
    """Load a mesh; check that vertices are finite, that faces name existing vertices, and that the area is not 0."""
    found = load_mesh(the_file(folder))
    assert np.isfinite(found.vertices).all() and found.vertices.shape[1:] == (3,), "vertices that are not finite"
    assert len(found.faces) and 0 <= found.faces.min() <= found.faces.max() < len(found.vertices), "unknown vertices"
    assert found.area > 0, "no area"


def points(folder: Path) -> None:
    """Load a point cloud, and check that its points are finite."""
    found = load_points(the_file(folder))
    assert len(found) and np.isfinite(found).all() and found.shape[1:] == (3,), "points that are not finite"


def shape(folder: Path) -> None:
    """Load a shape as `lagem reconstruct` does, and check that its points lie in [-1, 1]^3."""
    drawn = load_shape(the_file(folder)).draw(64, np.random.default_rng(0))
    assert len(drawn) and np.abs(drawn).max() < 1.001, "points outside [-1, 1]^3"


def the_file(folder: Path) -> Path:
    """Return the mesh or point cloud in a folder; of a glTF mesh, this is the document, not a buffer."""
    found = [path for path in sorted(folder.iterdir()) if path.suffix in {*MESH_ENDINGS, *POINT_ENDINGS}]
    return found[0] if found else folder / "mesh.gltf"  # damage has removed the document


def of_kind(files: list[Files]) -> Callable[[Generator], Files]:
    return lambda rng: dict(chosen(files, rng))


def formats() -> Iterator[Format]:
    """Yield one format for each kind of mesh or point cloud file."""
    kinds: dict[str, list[Files]] = defaultdict(list)
    for name, files in sources():
        kinds[name.partition(",")[0]].append(files)
    for kind, listed in kinds.items():
        suffix = Path(next(iter(listed[0]))).suffix
        doors: dict[str, Door] = {"load_shape": shape}
        if suffix in MESH_ENDINGS:
            doors["load_mesh"] = mesh
        if suffix in POINT_ENDINGS:
            doors["load_points"] = points
        yield Format(name=kind, sound=of_kind(listed), doors=doors, weight=0.6)
