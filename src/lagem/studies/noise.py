"""Parts of a level replaced by Gaussian noise (LaGeM appendix G, Fig. 14), and how far the shape moves.

Nothing is sampled: the finer and coarser levels stay as they are, and what is decoded shows what that part carried.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from lagem.diffusion.noise import partly_noise, torch_generator
from lagem.evaluation.means import Mean
from lagem.generation.generator import CascadedGenerator
from lagem.geometry.mesh import Mesh
from lagem.progress import long_progress
from lagem.studies.study import Study, distance_between, figure, mean_distance, sampled

DEFINITION = """\
Distance: of a shape with that part of the level's vectors replaced by standard Gaussian noise, to the shape decoded
from its latents as they are. Brackets: 95% bootstrap interval over shapes."""


@dataclass(frozen=True)
class Disturbance:
    """One level of all shapes with a `part` of its vectors replaced.

    distances: of each shape to itself undisturbed, less the floor; None where one of both has no surface.
    empty: disturbed shapes without a surface.
    """

    level: int
    part: float
    distances: list[float | None]
    distance: Mean | None
    empty: int


def disturb(generator: CascadedGenerator, study: Study, *, parts: Sequence[float]) -> list[Disturbance]:
    """Replace each part of each level, coarsest level first; write noise.md, noise.json and noise.png.

    Args:
        generator: A cascade; of its stages only those of samples to start from are used.
        study: What to start from.
        parts: Shares of a level's vectors, 0 to 1.
    """
    if unfit := [part for part in parts if not 0 <= part <= 1]:
        raise ValueError(f"a part of a level is a share of its vectors, 0 to 1, but {unfit[0]:g} was given.")
    study.start("noise")
    sources = study.sources(generator)
    whole = [sampled(source.decoded, f"{source.name}, whole", study.seed) for source in sources]
    columns: list[list[Mesh | None]] = [[source.decoded for source in sources]]
    results, titles = [], ["undisturbed"]
    kinds = [(level, part) for level in range(len(generator.specs), 0, -1) for part in parts]
    with long_progress() as progress:
        for level, part in progress.track(kinds, description="disturbing"):
            meshes: list[Mesh | None] = []
            distances: list[float | None] = []
            for source, own in zip(sources, whole, strict=True):
                key = f"{source.name}, level {level}"
                mesh = study.decoded(generator, disturbed(source.latents, level, part, key, study.seed))
                meshes.append(mesh)
                distances.append(distance_between(sampled(mesh, f"{key}, {part}", study.seed), own))
            empty = sum(mesh is None for mesh in meshes)
            results.append(Disturbance(level, part, distances, mean_distance(distances, study.seed), empty))
            columns.append(meshes)
            titles.append(f"Z{level}, {part:.0%}")
    rows = list(zip(*columns, strict=True))
    study.draw("noise", rows, titles, left=[source.name for source in sources])
    study.write("noise", rows_of(results), DEFINITION, results, parts=list(parts))
    return results


def disturbed(latents: Sequence[Tensor], level: int, part: float, key: str, seed: int) -> list[Tensor]:
    """Latents (M_i, D_i), fine to coarse, with a part of one level replaced; more of it with the same key is more."""
    changed = list(latents)
    generator = torch_generator(seed, 0, f"noise in {key}")
    changed[level - 1] = partly_noise(latents[level - 1].unsqueeze(0), part, [generator])[0]
    return changed


def rows_of(results: Sequence[Disturbance]) -> list[list[str]]:
    """Rows of a table, the header first."""
    rows = [["noise in", "part", "distance ×100", "without a surface"]]
    return rows + [[f"Z{r.level}", f"{r.part:.0%}", figure(r.distance), str(r.empty)] for r in results]
