"""What the levels control (LaGeM §4.2, Fig. 13): coarse latents kept, finer ones made anew, and how much that changes.

Groups of samples share no level, then the coarsest, then all but the finest. The nearer the samples of a group are to
one another, the more of the shape is in what they share.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from lagem.evaluation.summary import Mean, mean_of
from lagem.evaluation.tables import markdown_table
from lagem.generation import CascadedGenerator, GeneratedShape, SamplerSettings, SurfaceSettings
from lagem.geometry import Mesh, chamfer_distance, contact_sheet, render_mesh, sample_surface, save_picture
from lagem.preparation.atomic import write_atomically
from lagem.progress import long_progress
from lagem.randomness import sample_generator, sample_seed
from lagem.reconstruction import load_shape

POINTS = 4_096  # of each surface that is compared
DEFINITION = """\
Distance: mean Chamfer distance over the pairs of a group (not squared, both directions summed, {points:,} points each,
unit sphere), less the floor, which is the distance of two samplings of one surface, averaged over the group's samples.
Brackets: 95% bootstrap interval over groups. Groups of all rows have the same seeds and category."""


@dataclass(frozen=True)
class Variations:
    """Groups of samples that share the latents of `kept` levels.

    distance: mean over groups of the mean distance of a group's pairs, less its floor; None where no group has a pair.
    empty: samples without a surface, which are in no pair.
    """

    kept: list[int]
    distance: Mean | None
    floor: float
    empty: int


def vary(
    generator: CascadedGenerator,
    output: Path,
    *,
    category: str | None = None,
    mesh: Path | None = None,
    groups: int = 8,
    variants: int = 8,
    seed: int = 0,
    sampler: SamplerSettings | None = None,
    resolution: int = 64,
    up: Literal["y", "z"] = "z",
) -> list[Variations]:
    """Make groups of samples that share more and more levels, and write variations.md, .json and a picture of each.

    Args:
        generator: A cascade.
        output: Folder for `variations.md`, `variations.json` and `share_<levels>.png`.
        category: Of all samples, where the cascade is conditional.
        mesh: A file whose own latents are shared, in one group; None shares those of samples.
        groups: Groups of each kind.
        variants: Samples of a group.
        seed: Of everything.
        sampler: How latents are sampled.
        resolution: Cells along a side of the grid.
        up: The axis that points up in the pictures.
    """
    if variants < 2 or groups < 1:
        raise ValueError(f"distances need 2 variants in 1 group at least, but {variants} in {groups} were given.")
    levels = len(generator.specs)
    groups = 1 if mesh else groups
    surface = SurfaceSettings(resolution=resolution)
    output.mkdir(parents=True, exist_ok=True)
    results = []
    with long_progress() as progress:
        task = progress.add_task("varying", total=levels * groups)
        sources = _sources(generator, mesh, category, groups, seed, sampler, surface)
        for coarsest_kept in range(levels):
            kept = list(range(levels, levels - coarsest_kept, -1))
            made = []
            for group, (latents, _) in enumerate(sources):
                shapes = generator.generate(
                    count=variants,
                    category=category,
                    given={level: latents[level - 1] for level in kept},
                    seed=sample_seed(seed, 0, f"group {group}"),
                    batch_size=variants,
                    sampler=sampler,
                    surface=surface,
                )
                made.append(list(shapes))
                progress.advance(task)
            results.append(_measured(kept, made, seed))
            _draw(output / f"share_{'_'.join(map(str, kept)) or 'nothing'}.png", [own for _, own in sources], made, up)
    rows = rows_of(results)
    text = "\n".join(["# Variations", "", *markdown_table(rows), "", DEFINITION.format(points=POINTS)]) + "\n"
    write_atomically(output / "variations.md", text.encode())
    about = {"category": category, "mesh": mesh and str(mesh), "groups": groups, "variants": variants, "seed": seed}
    content = {"about": about, "variations": [asdict(result) for result in results]}
    write_atomically(output / "variations.json", (json.dumps(content, indent=1) + "\n").encode())
    return results


def rows_of(results: Sequence[Variations]) -> list[list[str]]:
    """Rows of a table: what is shared, the distance with its interval, the floor, samples without a surface."""
    rows = [["shared", "distance ×100", "floor ×100", "without a surface"]]
    for result in results:
        mean = result.distance
        figure = "–" if mean is None else f"{100 * mean.value:.2f} [{100 * mean.low:.2f}, {100 * mean.high:.2f}]"
        shared = ", ".join(f"Z{level}" for level in result.kept) or "nothing"
        rows.append([shared, figure, f"{100 * result.floor:.2f}", str(result.empty)])
    return rows


def _sources(
    generator: CascadedGenerator,
    mesh: Path | None,
    category: str | None,
    groups: int,
    seed: int,
    sampler: SamplerSettings | None,
    surface: SurfaceSettings,
) -> list[tuple[list[Tensor], Mesh | None]]:
    """Latents that a group may share, fine to coarse, with the surface they belong to."""
    if mesh is None:
        samples = generator.generate(count=groups, category=category, seed=seed, sampler=sampler, surface=surface)
        return [(shape.latents, shape.mesh) for shape in samples]
    shape = load_shape(mesh)
    points = shape.draw(generator.num_surface_points, sample_generator(seed, 0, shape.name))
    with torch.no_grad():
        latents = generator.autoencoder.encode(torch.from_numpy(points).float().unsqueeze(0).to(generator.device))
    return [([z[0].cpu() for z in latents], shape.surface)]


def _measured(kept: list[int], made: Sequence[Sequence[GeneratedShape]], seed: int) -> Variations:
    distances, floors = [], []
    for group, shapes in enumerate(made):
        meshes = {shape.index: shape.mesh for shape in shapes if shape.mesh is not None}
        first, second = (dict(_clouds(meshes, seed, f"group {group}, draw {draw}")) for draw in (0, 1))
        if len(meshes) < 2:
            continue
        floors.append(np.mean([chamfer_distance(first[index], second[index]) for index in meshes]))
        pairs = [chamfer_distance(first[one], first[other]) for one, other in combinations(meshes, 2)]
        distances.append(np.mean(pairs) - floors[-1])
    return Variations(
        kept=kept,
        distance=mean_of(np.array(distances), seed) if distances else None,
        floor=float(np.mean(floors)) if floors else 0.0,
        empty=sum(shape.mesh is None for shapes in made for shape in shapes),
    )


def _clouds(meshes: Mapping[int, Mesh], seed: int, name: str) -> Iterator[tuple[int, np.ndarray]]:
    for index, mesh in meshes.items():
        yield index, sample_surface(mesh, POINTS, sample_generator(seed, 0, f"{name}, sample {index}"))[0]


def _draw(
    path: Path, sources: Sequence[Mesh | None], made: Sequence[Sequence[GeneratedShape]], up: Literal["y", "z"]
) -> None:
    """A row for each group: the shape whose latents are shared, then the samples."""
    rows = [
        [None if mesh is None else render_mesh(mesh, size=160, up=up) for mesh in (own, *(s.mesh for s in shapes))]
        for own, shapes in zip(sources, made, strict=True)
    ]
    if any(picture is not None for row in rows for picture in row):
        titles = ["shared from", *(str(shape.index) for shape in made[0])]
        save_picture(contact_sheet(rows, column_titles=titles), path)
