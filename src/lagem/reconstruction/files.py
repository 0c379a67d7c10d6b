"""Reconstruct meshes and point clouds from files: into the unit sphere, through the network, and back."""

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
from lagem.sources.unit_shape import UnitShape, load_shape


@dataclass(frozen=True)
class ReconstructedShape:
    """Result of one file, in the unit sphere: the mesh, and its score against the input."""

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
    """Encode a shape, decode it, and score the mesh by the published definition.

    The ground truth is the input's own surface (for a cloud, its points).

    Args:
        codec: The autoencoder.
        shape: From `load_shape`.
        num_surface_points: Points of the surface to encode; None takes as many as in training.
        resolution: Cells along a side of the grid.
        method: How the grid is evaluated, as in `extract_surface`.
        points: Points sampled on input and result for the score.
        threshold: F-score threshold, in unit-sphere units.
        seed: Seed of the samplings, keyed by the shape's name.

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
    """Reconstruct files to `output/<name>.<format>` in their own coordinates; a bad file does not stop the others.

    A glb file stands in a viewer, since `up` says which axis points up in inputs other than glTF.

    Yields:
        Each file with its result, or with the reason why it has none.

    Raises:
        ValueError: If two files would be written to one name, or a number is too small; raised before any file is read.
    """
    codec.count_of_points(num_surface_points)
    if points < 1 or resolution < 2:
        raise ValueError(
            "a reconstruction needs a resolution of at least 2 and at least 1 point to score it, but "
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
                load_shape(path, up=up),
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
