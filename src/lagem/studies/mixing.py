"""Combine the structure of one shape with the detail of another: decode coarse latents of A with finer latents of B.

For comparison, the stages of the cascade also sample the finer latents, given the coarse latents of A.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from lagem.evaluation.means import Mean, mean_of_defined
from lagem.generation.generator import CascadedGenerator
from lagem.geometry.mesh import Mesh
from lagem.progress import long_progress
from lagem.randomness import sample_seed
from lagem.studies.study import (
    StartingShape,
    Study,
    distance_between,
    formatted_distance,
    level_names,
    sampled_surface,
)

DEFINITION = """\
Distance: from each mixture to shape A, which gave the coarse latents, and to shape B, which gave the finer ones.
Brackets: 95% bootstrap interval over pairs. Sampled: the stages sampled the finer latents, given the coarse latents of
A."""


@dataclass(frozen=True)
class Mixture:
    """The mixtures of all pairs of shapes A and B, mixed in one way.

    kept: levels whose latents were taken from A, coarsest first; empty if the "mixture" is B itself.
    sampled: whether the other levels were sampled instead of taken from B.
    to_a, to_b: for each pair, the distance from the mixture to A or B, minus the floor (the distance between two
        samplings of one surface); None if the mixture or the shape that it is compared with has no surface.
    distance_to_a, distance_to_b: means of these distances.
    empty: number of mixtures without a surface.
    """

    kept: list[int]
    sampled: bool
    to_a: list[float | None]
    to_b: list[float | None]
    distance_to_a: Mean | None
    distance_to_b: Mean | None
    empty: int


def mix_shapes(generator: CascadedGenerator, study: Study) -> list[Mixture]:
    """Mix pairs of shapes A and B at every border between levels, and write mixing.md, mixing.json and mixing.png.

    Args:
        generator: A cascade.
        study: Starting shapes and settings. The study starts from 2 × `groups` samples or from an even number of
            meshes; the first of each two consecutive shapes is A, the second is B.
    """
    if len(study.meshes) % 2:
        raise ValueError(
            f"shapes are mixed in pairs, but the number of meshes is odd ({len(study.meshes)}); add or remove one."
        )
    study.start("mixing")
    pairs = _pairs(generator, study)
    originals = [[sampled_surface(shape.decoded, shape.name, study.seed) for shape in pair] for pair in pairs]
    levels = len(generator.specs)
    ways: list[tuple[list[int], bool]] = [([], False)]
    for number in range(1, levels):
        ways += [(list(range(levels, levels - number, -1)), sampled) for sampled in (False, True)]
    columns: list[list[Mesh | None]] = [[first.pictured for first, _ in pairs]]
    results, titles = [], ["A"]
    with long_progress() as progress:
        for kept, sampled in progress.track(ways, description="mixing"):
            meshes = [_mixed(generator, study, pair, kept, sampled, number) for number, pair in enumerate(pairs)]
            name = "B" if not kept else f"{level_names(kept)} of A, {'sampled' if sampled else 'B'}"
            to_a: list[float | None] = []
            to_b: list[float | None] = []
            for mesh, (a, b), (first, second) in zip(meshes, originals, pairs, strict=True):
                mixture = sampled_surface(mesh, f"{first.name} and {second.name}, {name}", study.seed)
                to_a.append(distance_between(mixture, a))
                to_b.append(distance_between(mixture, b))
            results.append(
                Mixture(
                    kept=kept,
                    sampled=sampled,
                    to_a=to_a,
                    to_b=to_b,
                    distance_to_a=mean_of_defined(to_a, study.seed),
                    distance_to_b=mean_of_defined(to_b, study.seed),
                    empty=sum(mesh is None for mesh in meshes),
                )
            )
            columns.append(meshes)
            titles.append(name)
    rows = list(zip(*columns, strict=True))
    row_titles = [f"{first.name}, {second.name}" for first, second in pairs]
    study.draw_meshes("mixing", rows, column_titles=titles, row_titles=row_titles)
    study.write_results("mixing", mixture_rows(results), DEFINITION, results)
    return results


def mixture_rows(results: Sequence[Mixture]) -> list[list[str]]:
    """Return the rows of the table of mixtures, the header first."""
    rows = [["levels of A", "the others", "to A ×100", "to B ×100", "without a surface"]]
    for result in results:
        others = "sampled" if result.sampled else "of B"
        distances = [formatted_distance(result.distance_to_a), formatted_distance(result.distance_to_b)]
        rows.append([level_names(result.kept), others, *distances, str(result.empty)])
    return rows


def _pairs(generator: CascadedGenerator, study: Study) -> list[tuple[StartingShape, StartingShape]]:
    """Return the starting shapes in pairs: the first with the second, the third with the fourth, and so on.

    If no meshes are given, 2 × `groups` samples are drawn, which make `groups` pairs.
    """
    shapes = replace(study, groups=2 * study.groups).starting_shapes(generator)
    return list(zip(shapes[::2], shapes[1::2], strict=True))


def _mixed(
    generator: CascadedGenerator,
    study: Study,
    pair: tuple[StartingShape, StartingShape],
    kept: list[int],
    sampled: bool,
    number: int,
) -> Mesh | None:
    first, second = pair
    if not sampled:
        both = zip(first.latents, second.latents, strict=True)
        return study.decode(generator, [a if level in kept else b for level, (a, b) in enumerate(both, start=1)])
    (shape,) = generator.generate(
        count=1,
        category=study.category,
        given={level: first.latents[level - 1] for level in kept},
        seed=sample_seed(study.seed, 0, f"pair {number}"),
        sampler=study.sampler,
        surface=study.surface,
    )
    return shape.mesh
