"""Sample groups of shapes that share coarse latents (LaGeM §4.2, Fig. 13), and measure how much they differ.

In the first groups, samples share no level. In the next groups, they share the coarsest level, and so on; in the last,
they share all levels except the finest. The closer the samples of a group are to one another, the more of the shape is
determined by the shared levels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from lagem.evaluation.means import Mean, mean_of_defined
from lagem.generation.generator import CascadedGenerator, GeneratedShape
from lagem.progress import long_progress
from lagem.randomness import sample_seed
from lagem.studies.study import SampledSurface, Study, formatted_distance, level_names, paired_difference

DEFINITION = """\
Distance: mean over the pairs of a group. Difference: from the row above, paired by group. Brackets: 95% bootstrap
interval over groups. The groups of all rows have the same seeds and category."""


@dataclass(frozen=True)
class Sharing:
    """The result for groups of samples that share the latents of some levels.

    kept: the shared levels, coarsest first.
    distances: for each group, the mean distance between two of its samples, minus the floor; None if fewer than two
        samples have a surface.
    distance: mean of these distances.
    difference: mean of the distances minus those of the groups that share one level fewer, paired by group; negative if
        samples that share one level more are closer. None for groups that share nothing.
    floor: mean distance between two samplings of the same surface.
    empty: number of samples without a surface; no distance includes them.
    """

    kept: list[int]
    distances: list[float | None]
    distance: Mean | None
    difference: Mean | None
    floor: float
    empty: int


def share_levels(generator: CascadedGenerator, study: Study, *, variants: int = 8) -> list[Sharing]:
    """Generate groups of samples that share the latents of some levels, and measure distances within each group.

    The first groups share no level, the next share the coarsest level, and so on; the last share all levels except the
    finest. The results, one for each number of shared levels, are also written to sharing.md and sharing.json, with a
    picture for each number of shared levels.

    Args:
        generator: A cascade.
        study: Starting shapes and settings; each group shares the latents of one of these shapes.
        variants: Number of samples per group.
    """
    if variants < 2:
        raise ValueError(
            f"distances are measured between variants, so at least 2 are needed, but the number given is {variants}."
        )
    levels = len(generator.specs)
    study.start("sharing")
    results: list[Sharing] = []
    starting_shapes = study.starting_shapes(generator)
    with long_progress() as progress:
        task = progress.add_task("sharing", total=levels * len(starting_shapes))
        for number in range(levels):
            kept = list(range(levels, levels - number, -1))
            made = []
            for group, start in enumerate(starting_shapes):
                shapes = generator.generate(
                    count=variants,
                    category=study.category,
                    given={level: start.latents[level - 1] for level in kept},
                    seed=sample_seed(study.seed, 0, f"group {group}"),
                    batch_size=variants,
                    sampler=study.sampler,
                    surface=study.surface,
                )
                made.append(list(shapes))
                progress.advance(task)
            results.append(measure_groups(kept, made, results[-1] if results else None, study.seed))
            study.draw_meshes(
                f"sharing_{'_'.join(map(str, kept)) or 'nothing'}",
                [
                    [start.pictured, *(shape.mesh for shape in shapes)]
                    for start, shapes in zip(starting_shapes, made, strict=True)
                ],
                column_titles=["shared from", *map(str, range(variants))],
                row_titles=[start.name for start in starting_shapes],
            )
    study.write_results("sharing", sharing_rows(results), DEFINITION, results, variants=variants)
    return results


def measure_groups(
    kept: list[int], made: Sequence[Sequence[GeneratedShape]], above: Sharing | None, seed: int
) -> Sharing:
    """Measure the distances between the samples of each group, and how they differ from the distances of `above`.

    Args:
        kept: Levels that the samples of a group share.
        made: The samples of each group.
        above: Result for the groups that share one level fewer; None if `kept` is empty.
        seed: Seed of the draws of points and of the bootstrap.
    """
    distances: list[float | None] = []
    floors = []
    for group, shapes in enumerate(made):
        surfaces = [
            SampledSurface.of(shape.mesh, f"group {group}, sample {shape.index}", seed)
            for shape in shapes
            if shape.mesh is not None
        ]
        floors += [surface.floor for surface in surfaces]
        pairs = [one.distance_to(other) for one, other in combinations(surfaces, 2)]
        distances.append(float(np.mean(pairs)) if pairs else None)
    return Sharing(
        kept=kept,
        distances=distances,
        distance=mean_of_defined(distances, seed),
        difference=None if above is None else paired_difference(distances, above.distances, seed),
        floor=float(np.mean(floors)) if floors else 0.0,
        empty=sum(shape.mesh is None for shapes in made for shape in shapes),
    )


def sharing_rows(results: Sequence[Sharing]) -> list[list[str]]:
    """Return the rows of the table of shared levels, the header first."""
    rows = [["shared", "distance ×100", "difference", "floor ×100", "without a surface"]]
    for result in results:
        distances = [formatted_distance(result.distance), formatted_distance(result.difference, sign=True)]
        rows.append([level_names(result.kept), *distances, f"{100 * result.floor:.2f}", str(result.empty)])
    return rows
