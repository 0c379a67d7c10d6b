"""Reconstruct meshes and point clouds from files: encode and decode them in the unit sphere, then move them back."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from lagem.geometry.frame import Up
from lagem.geometry.mesh import Mesh
from lagem.geometry.metrics import SurfaceScore, score_surface
from lagem.geometry.surface import ExtractionMethod
from lagem.randomness import sample_generator
from lagem.reconstruction.codec import ShapeCodec
from lagem.sources.reading import read_surface
from lagem.sources.unit_shape import UnitShape, shape_of


@dataclass(frozen=True)
class ReconstructedShape:
    """Result for one file: the input and the reconstructed mesh, both in the unit sphere, and the score of the mesh."""

    shape: UnitShape
    mesh: Mesh
    score: SurfaceScore


def reconstruct_shape(
    codec: ShapeCodec,
    shape: UnitShape,
    *,
    num_surface_points: int | None = None,
    resolution: int = 128,
    method: ExtractionMethod = "coarse_to_fine",
    points: int = 100_000,
    threshold: float = 0.02,
    seed: int = 0,
) -> ReconstructedShape:
    """Encode a shape, decode the latents to a mesh, and compute the mesh's Chamfer distance and F-score.

    The ground truth is the surface of the input, or its points if it is a point cloud.

    Args:
        codec: The autoencoder.
        shape: A result of `load_shape` or `shape_of`.
        num_surface_points: Number of surface points to encode; None takes as many as in training.
        resolution: Number of cells along a side of the grid.
        method: How the grid is evaluated, as in `extract_surface`.
        points: Number of points drawn on the input and on the result for the score.
        threshold: Threshold of the F-score, in unit-sphere units.
        seed: Seed of all draws of points. The draws are also keyed by the shape's name.

    Raises:
        EmptySurfaceError: If the decoded field has no inside.
    """
    rng = sample_generator(seed, 0, shape.name)
    surface_points = shape.draw(codec.count_of_points(num_surface_points), rng)
    latents = codec.latents_of(torch.from_numpy(surface_points))
    mesh = codec.mesh_of(latents, resolution=resolution, method=method, seeds=surface_points)
    score = score_surface(mesh, shape.draw(points, rng), rng=rng, count=points, threshold=threshold)
    return ReconstructedShape(shape=shape, mesh=mesh, score=score)


def reconstruct_files(
    codec: ShapeCodec,
    paths: Sequence[Path],
    output: Path,
    *,
    num_surface_points: int | None,
    points: int,
    resolution: int,
    method: ExtractionMethod,
    format: str,
    seed: int,
    up: Up,
) -> Iterator[tuple[Path, ReconstructedShape | str]]:
    """Reconstruct files as `output/<name>.<format>`, each in the coordinates of its file.

    A file that cannot be reconstructed does not stop the others.

    `up` is the axis that points up in inputs other than glTF files. A glb result is turned so that the shape stands
    upright in a viewer.

    Yields:
        Each file with its result, or with the reason why it has none.

    Raises:
        ValueError: If two files would be written to one name, or a number is too small; raised before any file is read.
    """
    codec.count_of_points(num_surface_points)
    if points < 1 or resolution < 2:
        raise ValueError(
            "a scored reconstruction needs a resolution of at least 2 and at least 1 point, but "
            f"resolution {resolution} and {points} points were given."
        )
    named: dict[str, Path] = {}
    for path in paths:
        other = named.setdefault(path.stem, path)
        if other != path:
            raise ValueError(f"{other} and {path} would both be written to {path.stem}.{format}; rename one.")
    for path in paths:
        try:
            result = reconstruct_shape(
                codec,
                shape_of(path, read_surface(path, up=up), up=up),
                num_surface_points=num_surface_points,
                resolution=resolution,
                method=method,
                points=points,
                seed=seed,
            )
        except ValueError as error:
            yield path, str(error)
            continue
        result.mesh.in_source(result.shape.frame).save(output / f"{result.shape.name}.{format}", up=result.shape.up)
        yield path, result
