"""Replace a fraction of a level by Gaussian noise (LaGeM appendix G, Fig. 14), and measure how far the shape moves.

All other latents stay unchanged, and no stage samples them again. So the change of the decoded shape shows what the
replaced vectors carried.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from lagem.diffusion.noise import partly_noise, torch_generator
from lagem.evaluation.means import Mean, mean_of_defined
from lagem.generation.generator import CascadedGenerator
from lagem.geometry.mesh import Mesh
from lagem.progress import long_progress
from lagem.studies.study import Study, distance_between, formatted_distance, sampled_surface

DEFINITION = """\
Distance: from the shape with that fraction of the level's vectors replaced by standard Gaussian noise to the shape
decoded from the original latents. Brackets: 95% bootstrap interval over shapes."""


@dataclass(frozen=True)
class Disturbance:
    """The result for all shapes if one fraction of the vectors of one level is replaced by noise.

    level: number of the level.
    part: the fraction that is replaced (`part` is its key in noise.json).
    distances: for each shape, the distance between the disturbed shape and the original, minus the floor (the distance
        between two samplings of one surface); None if one of the two shapes has no surface.
    distance: mean of these distances.
    empty: number of disturbed shapes without a surface.
    """

    level: int
    part: float
    distances: list[float | None]
    distance: Mean | None
    empty: int


def disturb_levels(generator: CascadedGenerator, study: Study, *, fractions: Sequence[float]) -> list[Disturbance]:
    """Replace fractions of the vectors of each level by noise, and measure how far the decoded shapes move.

    There is a result for each level and each fraction, coarsest level first. The results are also written to noise.md,
    noise.json and noise.png.

    Args:
        generator: A cascade; its stages are used only if the study starts from samples.
        study: Starting shapes and settings.
        fractions: Fractions of a level's vectors to replace, from 0 to 1.
    """
    if outside := [fraction for fraction in fractions if not 0 <= fraction <= 1]:
        raise ValueError(f"a fraction of a level's vectors must be from 0 to 1, but {outside[0]:g} was given.")
    study.start("noise")
    shapes = study.starting_shapes(generator)
    originals = [sampled_surface(shape.decoded, f"{shape.name}, whole", study.seed) for shape in shapes]
    columns: list[list[Mesh | None]] = [[shape.decoded for shape in shapes]]
    results, titles = [], ["undisturbed"]
    cases = [(level, fraction) for level in range(len(generator.specs), 0, -1) for fraction in fractions]
    with long_progress() as progress:
        for level, fraction in progress.track(cases, description="disturbing"):
            meshes: list[Mesh | None] = []
            distances: list[float | None] = []
            for shape, original in zip(shapes, originals, strict=True):
                key = f"{shape.name}, level {level}"
                mesh = study.decode(generator, with_noise(shape.latents, level, fraction, key, study.seed))
                meshes.append(mesh)
                surface = sampled_surface(mesh, f"{key}, {fraction}", study.seed)
                distances.append(distance_between(surface, original))
            empty = sum(mesh is None for mesh in meshes)
            results.append(Disturbance(level, fraction, distances, mean_of_defined(distances, study.seed), empty))
            columns.append(meshes)
            titles.append(f"Z{level}, {fraction:.0%}")
    rows = list(zip(*columns, strict=True))
    study.draw_meshes("noise", rows, column_titles=titles, row_titles=[shape.name for shape in shapes])
    study.write_results("noise", noise_rows(results), DEFINITION, results, parts=list(fractions))
    return results


def with_noise(latents: Sequence[Tensor], level: int, fraction: float, key: str, seed: int) -> list[Tensor]:
    """Return the latents (M_i, D_i), fine to coarse, with a fraction of the vectors of one level replaced by noise.

    Key and seed determine the noise and the order in which vectors are replaced. So each vector that is replaced at a
    small fraction is also replaced at a larger one, with the same noise.
    """
    changed = list(latents)
    generator = torch_generator(seed, 0, f"noise in {key}")
    changed[level - 1] = partly_noise(latents[level - 1].unsqueeze(0), fraction, [generator])[0]
    return changed


def noise_rows(results: Sequence[Disturbance]) -> list[list[str]]:
    """Return the rows of the table of disturbances, the header first."""
    rows = [["noise in", "fraction", "distance ×100", "without a surface"]]
    return rows + [[f"Z{r.level}", f"{r.part:.0%}", formatted_distance(r.distance), str(r.empty)] for r in results]
