"""Coarse latents kept, finer ones made anew (LaGeM §4.2, Fig. 13), and how much that changes.

Groups of samples share no level, then the coarsest, then all but the finest. The nearer the samples of a group are to
one another, the more of the shape is in what they share.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from lagem.evaluation.means import Mean
from lagem.generation.generator import CascadedGenerator, GeneratedShape
from lagem.progress import long_progress
from lagem.randomness import sample_seed
from lagem.studies.study import SampledSurface, Study, figure, mean_distance, names_of, paired_difference

DEFINITION = """\
Distance: mean over the pairs of a group. Difference: to the row above, group by group. Brackets: 95% bootstrap interval
over groups. Groups of all rows have the same seeds and category."""


@dataclass(frozen=True)
class Sharing:
    """Groups of samples that share the latents of `kept` levels.

    distances: of each group, the mean distance of its pairs less the floor; None where there is no pair.
    distance: their mean.
    difference: to the groups that share one level less; None for those that share nothing.
    empty: samples without a surface, which are in no pair.
    """

    kept: list[int]
    distances: list[float | None]
    distance: Mean | None
    difference: Mean | None
    floor: float
    empty: int


def share(generator: CascadedGenerator, study: Study, *, variants: int = 8) -> list[Sharing]:
    """Make groups that share more and more levels; write sharing.md, sharing.json and a picture of each kind.

    Args:
        generator: A cascade.
        study: What to start from; a group shares the latents of one of its shapes.
        variants: Samples of a group.
    """
    if variants < 2:
        raise ValueError(f"distances need 2 variants at least, but {variants} were given.")
    levels = len(generator.specs)
    study.start("sharing")
    results: list[Sharing] = []
    sources = study.sources(generator)
    with long_progress() as progress:
        task = progress.add_task("sharing", total=levels * len(sources))
        for number in range(levels):
            kept = list(range(levels, levels - number, -1))
            made = []
            for group, source in enumerate(sources):
                shapes = generator.generate(
                    count=variants,
                    category=study.category,
                    given={level: source.latents[level - 1] for level in kept},
                    seed=sample_seed(study.seed, 0, f"group {group}"),
                    batch_size=variants,
                    sampler=study.sampler,
                    surface=study.surface,
                )
                made.append(list(shapes))
                progress.advance(task)
            results.append(measured(kept, made, results[-1] if results else None, study.seed))
            rows = [[source.shown, *(shape.mesh for shape in own)] for source, own in zip(sources, made, strict=True)]
            titles = ["shared from", *map(str, range(variants))]
            left = [source.name for source in sources]
            study.draw(f"sharing_{'_'.join(map(str, kept)) or 'nothing'}", rows, titles, left=left)
    study.write("sharing", rows_of(results), DEFINITION, results, variants=variants)
    return results


def measured(kept: list[int], made: Sequence[Sequence[GeneratedShape]], above: Sharing | None, seed: int) -> Sharing:
    """Distances within groups.

    Args:
        kept: Levels that a group shares.
        made: The samples of each group.
        above: Of the groups that share one level less.
        seed: Of the samplings and the bootstrap.
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
        pairs = [one.apart(other) for one, other in combinations(surfaces, 2)]
        distances.append(float(np.mean(pairs)) if pairs else None)
    return Sharing(
        kept=kept,
        distances=distances,
        distance=mean_distance(distances, seed),
        difference=None if above is None else paired_difference(distances, above.distances, seed),
        floor=float(np.mean(floors)) if floors else 0.0,
        empty=sum(shape.mesh is None for shapes in made for shape in shapes),
    )


def rows_of(results: Sequence[Sharing]) -> list[list[str]]:
    """Rows of a table, the header first."""
    rows = [["shared", "distance ×100", "difference", "floor ×100", "without a surface"]]
    for result in results:
        figures = [figure(result.distance), figure(result.difference, sign=True), f"{100 * result.floor:.2f}"]
        rows.append([names_of(result.kept), *figures, str(result.empty)])
    return rows
