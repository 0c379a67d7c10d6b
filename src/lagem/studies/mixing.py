"""The structure of one shape with the detail of another: coarse latents of A, finer ones of B.

The finer latents are taken from B as they are, or, for comparison, sampled by the stages given A's coarse ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from lagem.evaluation.means import Mean
from lagem.generation.generator import CascadedGenerator
from lagem.geometry.mesh import Mesh
from lagem.progress import long_progress
from lagem.randomness import sample_seed
from lagem.studies.study import Source, Study, distance_between, figure, mean_distance, names_of, sampled

DEFINITION = """\
Distance: of each mixture to the shape A that gave the coarse latents and to B that gave the finer ones. Brackets: 95%
bootstrap interval over pairs. Sampled: the stages made the finer latents anew, given those of A."""


@dataclass(frozen=True)
class Mixture:
    """All pairs mixed in one way.

    kept: levels of A, coarsest first; empty for B itself.
    sampled: whether the others were sampled, and not B's.
    to_a, to_b: distances of each pair's mixture, less the floor; None where a surface is missing.
    empty: mixtures without a surface.
    """

    kept: list[int]
    sampled: bool
    to_a: list[float | None]
    to_b: list[float | None]
    distance_to_a: Mean | None
    distance_to_b: Mean | None
    empty: int


def mix(generator: CascadedGenerator, study: Study) -> list[Mixture]:
    """Mix pairs of shapes, A the first of each, at every border between levels; write mixing.md, .json and .png.

    Args:
        generator: A cascade.
        study: What to start from: samples, of which `groups` are A and as many are B, or meshes, A B A B and so on.
    """
    if len(study.meshes) % 2:
        raise ValueError(f"shapes are mixed in pairs, but {len(study.meshes)} meshes were given.")
    study.start("mixing")
    pairs = _pairs(generator, study)
    known = [[sampled(shape.decoded, shape.name, study.seed) for shape in pair] for pair in pairs]
    levels = len(generator.specs)
    ways: list[tuple[list[int], bool]] = [([], False)]
    for number in range(1, levels):
        ways += [(list(range(levels, levels - number, -1)), anew) for anew in (False, True)]
    columns: list[list[Mesh | None]] = [[first.shown for first, _ in pairs]]
    results, titles = [], ["A"]
    with long_progress() as progress:
        for kept, anew in progress.track(ways, description="mixing"):
            meshes = [_mixed(generator, study, pair, kept, anew, number) for number, pair in enumerate(pairs)]
            name = "B" if not kept else f"{names_of(kept)} of A, {'sampled' if anew else 'B'}"
            to_a: list[float | None] = []
            to_b: list[float | None] = []
            for mesh, (a, b), (first, second) in zip(meshes, known, pairs, strict=True):
                own = sampled(mesh, f"{first.name} and {second.name}, {name}", study.seed)
                to_a.append(distance_between(own, a))
                to_b.append(distance_between(own, b))
            results.append(
                Mixture(
                    kept=kept,
                    sampled=anew,
                    to_a=to_a,
                    to_b=to_b,
                    distance_to_a=mean_distance(to_a, study.seed),
                    distance_to_b=mean_distance(to_b, study.seed),
                    empty=sum(mesh is None for mesh in meshes),
                )
            )
            columns.append(meshes)
            titles.append(name)
    rows = list(zip(*columns, strict=True))
    study.draw("mixing", rows, titles, left=[f"{first.name}, {second.name}" for first, second in pairs])
    study.write("mixing", rows_of(results), DEFINITION, results)
    return results


def rows_of(results: Sequence[Mixture]) -> list[list[str]]:
    """Rows of a table, the header first."""
    rows = [["levels of A", "the others", "to A ×100", "to B ×100", "without a surface"]]
    for result in results:
        others = "sampled" if result.sampled else "of B"
        figures = [figure(result.distance_to_a), figure(result.distance_to_b)]
        rows.append([names_of(result.kept), others, *figures, str(result.empty)])
    return rows


def _pairs(generator: CascadedGenerator, study: Study) -> list[tuple[Source, Source]]:
    """Consecutive shapes; of samples twice as many are drawn as there are groups."""
    sources = replace(study, groups=2 * study.groups).sources(generator)
    return list(zip(sources[::2], sources[1::2], strict=True))


def _mixed(
    generator: CascadedGenerator, study: Study, pair: tuple[Source, Source], kept: list[int], anew: bool, number: int
) -> Mesh | None:
    first, second = pair
    if not anew:
        both = zip(first.latents, second.latents, strict=True)
        return study.decoded(generator, [a if level in kept else b for level, (a, b) in enumerate(both, start=1)])
    (shape,) = generator.generate(
        count=1,
        category=study.category,
        given={level: first.latents[level - 1] for level in kept},
        seed=sample_seed(study.seed, 0, f"pair {number}"),
        sampler=study.sampler,
        surface=study.surface,
    )
    return shape.mesh
