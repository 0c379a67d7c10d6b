"""Rows of a page. A row shows an input and its reconstructions: from the coarsest level, the two coarsest, and so on.

Letters: M_i latents of level i with D_i channels.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from lagem.geometry.frame import Frame, Up
from lagem.geometry.surface import surface_or_none
from lagem.progress import long_progress
from lagem.randomness import sample_generator
from lagem.reconstruction.codec import ShapeCodec
from lagem.reports.page.content import Row, View
from lagem.reports.page.packed import PackedShape, faces_of_each, packed
from lagem.sources.surfaces import MeshSurfaces, SurfaceSource
from lagem.storage.failures import raise_failure_behind
from lagem.studies.levels import Variant

UNIT = Frame(center=np.zeros(3), scale=1.0)


@dataclass(frozen=True, kw_only=True)
class ShapeSettings:
    """How a report finds and shows reconstructions.

    weights: Weights of the autoencoder. If None, the report uses the weights of the run or evaluation that it shows.
    data: The shapes, as a DATA argument of the commands. If None, the report uses the shapes of that run or evaluation.
    resolution: Number of cells along a side of the grid from which meshes are extracted.
    device: Device of the network.
    up: The axis that points up in shapes from files that do not state it. If None, the report uses the axis of the data
        from which the run, evaluation, samples or study was made; if these data do not state one either, it uses z.
    """

    weights: Path | None = None
    data: str | None = None
    resolution: int = 64
    device: str = "cpu"
    up: Up | None = None


@dataclass(frozen=True)
class ShownShape:
    """A shape to show under a title, given by its index in a source of shapes."""

    index: int
    title: str


def reconstruction_rows(
    codec: ShapeCodec,
    source: SurfaceSource,
    shown: Sequence[ShownShape],
    settings: ShapeSettings,
    *,
    num_surface_points: int | None = None,
    seed: int = 0,
) -> list[Row]:
    """Return a row of views for each shape: the input, then its reconstructions.

    The first reconstruction is decoded from the coarsest level only, the next from the two coarsest, and so on. The
    encoded points are those that `lagem evaluate` encodes.

    Args:
        codec: The autoencoder.
        source: The shapes.
        shown: Which of the shapes to show.
        settings: Resolution and up axis.
        num_surface_points: Number of points to encode; None for as many as in training.
        seed: Seed of the draw of these points. The draw is also keyed by the shape's id.
    """
    levels = len(codec.spec.levels)
    most_faces = faces_of_each(len(shown) * (1 + levels))
    count = codec.count_of_points(num_surface_points)
    rows = []
    with long_progress() as progress:
        for shape in progress.track(shown, description="reconstructing"):
            id = source.ids[shape.index]
            try:
                points = source.draw(shape.index, count, sample_generator(seed, 0, id))
                input_shape, up = _input(source, shape.index, most_faces, settings.up)
            except ValueError as error:
                raise_failure_behind(error, id)
                rows.append(Row(shape.title, [View("input", None, reason=str(error), kind="input")]))
                continue
            views = [View("input", input_shape, kind="input")]
            latents = codec.latents_of(torch.from_numpy(points))
            for finest in range(levels, 0, -1):
                field = codec.field_of(Variant(finest=finest).change(latents, id, seed=seed))
                mesh = surface_or_none(field, resolution=settings.resolution, seeds=points, device=codec.device)
                title = level_title(finest, levels)
                if mesh is None:
                    views.append(View(title, None, reason="no surface"))
                else:
                    views.append(View(title, packed(replace(mesh, up=up), UNIT, most_faces=most_faces)))
            rows.append(Row(shape.title, views))
    return rows


def level_title(finest: int, num_levels: int) -> str:
    """Return the title of a reconstruction that uses level `finest` and all coarser levels, such as "Z3 + Z2"."""
    if num_levels == 1:
        return "reconstruction"
    return "all levels" if finest == 1 else " + ".join(f"Z{level}" for level in range(num_levels, finest - 1, -1))


def varied(source: SurfaceSource, indices: Iterable[int], count: int) -> list[int]:
    """Return at most `count` of the indices in ascending order, spread over the categories of their shapes.

    The first shape of each category is chosen, then the second shape of each, and so on.
    """
    turns: Counter[str] = Counter()
    ordered = []
    for index in indices:
        category = source.categories[index]
        ordered.append((turns[category], index))
        turns[category] += 1
    return sorted(index for _, index in sorted(ordered)[:count])


def _input(source: SurfaceSource, index: int, most_faces: int, up: Up | None) -> tuple[PackedShape, Up]:
    """Return the true shape and its up axis. The shape is a mesh if the source holds meshes, else a point cloud."""
    if isinstance(source, MeshSurfaces):
        mesh = source.unit_mesh(index, up=up or "z")
        return packed(mesh, UNIT, most_faces=most_faces), mesh.up
    points = source.draw(index, most_faces, sample_generator(0, 0, f"{source.ids[index]} on a page"))
    up = up or source.up or "z"
    return packed(points.astype(np.float64), UNIT, most_faces=most_faces, up=up), up
