"""Reconstruct meshes and point clouds from files: into the unit sphere, through the network, and back."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from lagem.geometry.mesh import Mesh
from lagem.geometry.metrics import SurfaceScore, score_surface
from lagem.geometry.surface import extract_surface
from lagem.models.autoencoder import Autoencoder
from lagem.randomness import sample_generator
from lagem.sources.unit_shape import UnitShape, load_shape

ExtractionMethod = Literal["coarse_to_fine", "dense"]


@dataclass(frozen=True)
class ReconstructedShape:
    """Result of one file: the mesh in the unit sphere, and its score against the input there."""

    shape: UnitShape
    mesh: Mesh
    score: SurfaceScore


def reconstruct_shape(
    autoencoder: Autoencoder,
    shape: UnitShape,
    *,
    num_surface_points: int,
    resolution: int = 128,
    method: ExtractionMethod = "coarse_to_fine",
    points: int = 100_000,
    threshold: float = 0.02,
    seed: int = 0,
) -> ReconstructedShape:
    """Encode a shape, decode it, and score the mesh by the published definition.

    The ground truth is the input's own surface (for a cloud, its points).

    Args:
        autoencoder: The network, on the device to use.
        shape: From `load_shape`.
        num_surface_points: N, points given to the encoder.
        resolution: Cells along a side of the grid.
        method: How the grid is asked, as for `extract_surface`.
        points: Points sampled on input and result for the score.
        threshold: F-score threshold, in unit-sphere units.
        seed: Seed of the samplings, keyed by the shape's name.

    Raises:
        EmptySurfaceError: Where the decoded field has no inside.
    """
    rng = sample_generator(seed, 0, shape.name)
    device = next(autoencoder.parameters()).device
    surface_points = torch.from_numpy(shape.draw(num_surface_points, rng)).float().to(device)
    with torch.no_grad():
        field = autoencoder.decode(autoencoder.encode(surface_points.unsqueeze(0))).select(0)
        mesh = extract_surface(field, resolution=resolution, method=method, device=device)
    score = score_surface(mesh, shape.draw(points, rng), rng=rng, count=points, threshold=threshold)
    return ReconstructedShape(shape=shape, mesh=mesh, score=score)


def reconstruct_files(
    autoencoder: Autoencoder,
    paths: list[Path],
    output: Path,
    *,
    num_surface_points: int,
    resolution: int,
    method: ExtractionMethod,
    format: str,
    seed: int,
) -> Iterator[tuple[Path, ReconstructedShape | str]]:
    """Reconstruct files to `output/<name>.<format>` in the inputs' coordinates; a bad file stops nothing.

    Yields:
        Each file with its result, or with the reason why it has none.

    Raises:
        ValueError: Where two files would be written to one name, or nothing can be reconstructed with these numbers;
            before any is read.
    """
    if num_surface_points < 1 or resolution < 2:
        raise ValueError(
            "a reconstruction needs at least 1 surface point and a resolution of at least 2, but "
            f"{num_surface_points} surface points and resolution {resolution} were given."
        )
    named: dict[str, Path] = {}
    for path in paths:
        other = named.setdefault(path.stem, path)
        if other != path:
            raise ValueError(f"{other} and {path} would both be written to {path.stem}.{format}; rename one.")
    for path in paths:
        try:
            result = reconstruct_shape(
                autoencoder,
                load_shape(path),
                num_surface_points=num_surface_points,
                resolution=resolution,
                method=method,
                seed=seed,
            )
        except ValueError as error:
            yield path, str(error)
            continue
        result.mesh.in_source(result.shape.frame).save(output / f"{result.shape.name}.{format}")
        yield path, result
