"""Complete partial shapes: a cascade samples whole shapes, given the encoded part that was seen.

    import lagem
    from lagem.completion.completer import complete_shape

    completions = complete_shape(lagem.load_cascade("runs/completion/cascade"), "scan.ply", count=4)
    completions[0].mesh.save("completed.ply")

Each sample is a whole shape in its own unit sphere, and is fitted to the points that were seen. The first completion is
the mean of the samples that fit best; the others are these samples. All are meshes in the coordinates of these points.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from lagem.completion.alignment import Fit, WholeSurface
from lagem.completion.mean import mean_surface
from lagem.embeddings.partial import SHARE, tokens_of
from lagem.generation.generator import CascadedGenerator, GeneratedShape
from lagem.generation.settings import SamplerSettings, SurfaceSettings
from lagem.geometry.components import reduced
from lagem.geometry.mesh import Mesh
from lagem.geometry.sampling import sample_surface
from lagem.randomness import sample_generator
from lagem.sources.unit_shape import ShapeLike, unit_shape
from lagem.weights.fingerprint import encoder_of

COARSE_RESOLUTION = 32  # maximum number of cells along a side of the grid on which all samples are compared
COARSE_POINTS = 4_096  # number of points drawn on each of these meshes to fit it to the points that were seen
FINALISTS = 8  # least number of samples, those that fit best, that are compared again at the full resolution
FITTED_POINTS = 16_384  # number of points drawn on each of the latter meshes


@dataclass(frozen=True)
class Completion:
    """One completion of a partial shape.

    index: Index of the sample, from 0; None for the mean of samples.
    seed: Seed of the sample's noise; None for the mean of samples.
    mesh: Mesh of the whole shape, in the coordinates of the part.
    distance: Mean distance of the points that were seen from the surface of the mesh, relative to the radius of the
        part. Samples are sorted by it. It does not measure how good the unseen rest of the mesh is.
    """

    index: int | None
    seed: int | None
    mesh: Mesh
    distance: float


@dataclass(frozen=True)
class _Placed:
    """A sample that has a mesh, and where it lies in the coordinates in which the part fills the unit sphere."""

    sample: GeneratedShape
    mesh: Mesh
    fit: Fit


def check_completes(generator: CascadedGenerator) -> None:
    """Raise ValueError if a cascade is not conditioned on partial clouds that the cascade's autoencoder encoded."""
    spec = generator.specs[0]
    if spec.encoder != encoder_of(spec.autoencoder):
        found = "the category" if spec.num_categories else spec.encoder or "other embeddings"
        raise ValueError(
            f"this cascade cannot complete shapes: its condition is {found if spec.is_conditional else 'nothing'}. "
            "Give a cascade that was trained on embeddings that `lagem embed --partial` wrote."
        )


def check_counts(count: int, samples: int, averaged: int) -> None:
    """Raise ValueError unless there are from 1 to `samples` completions, and at least 1 sample is averaged."""
    if not 1 <= count <= samples:
        raise ValueError(
            f"the number of completions must be from 1 to the number of samples, but {count} completions of {samples} "
            "samples were asked for. Ask for fewer completions, or draw more samples."
        )
    if averaged < 1:
        raise ValueError(f"the number of averaged samples must be at least 1, but {averaged} was given.")


def complete_shape(
    generator: CascadedGenerator,
    shape: ShapeLike,
    *,
    count: int = 4,
    samples: int = 32,
    averaged: int = 8,
    seed: int = 0,
    batch_size: int = 16,
    sampler: SamplerSettings | None = None,
    surface: SurfaceSettings | None = None,
) -> list[Completion]:
    """Return meshes of whole shapes that complete a part, sampled by a cascade.

    The part must have the same orientation as the training shapes; its position and size do not matter.

    Args:
        generator: A cascade that was trained on partial clouds.
        shape: The part: the path of a mesh or point cloud, a `Mesh`, or (N, 3) points, in any coordinates.
        count: Number of completions: the mean, and the samples that fit best.
        samples: Number of samples that are drawn and compared: all as coarse meshes, and the best of them again as they
            are returned.
        averaged: Number of samples in the mean: those that fit best. 1 leaves the mean out. Where these samples agree,
            the mean is usually better than each of them; where they differ, it lacks detail.
        seed: Seed of all random draws, at least 0. The draws of points are also keyed by the name of the shape.
        batch_size: Number of samples that are generated at once.
        sampler: How latents are sampled; None takes the defaults.
        surface: How the field of a completion becomes a mesh; None takes the defaults.

    Returns:
        The completions: the mean first, if there is one and it has a surface, then samples, sorted by how well they fit
        the part. Empty if no sample has a surface.

    Raises:
        ValueError: If the shape cannot be read, the cascade was not trained on partial clouds, or there are fewer
            samples than completions.
    """
    check_counts(count, samples, averaged)
    check_completes(generator)
    surface = surface or SurfaceSettings()
    coarse = replace(surface, resolution=min(surface.resolution, COARSE_RESOLUTION))
    part = unit_shape(shape)
    cloud = part.draw(generator.codec.count_of_points(None), sample_generator(seed, 0, f"{part.name}/complete"))
    tokens = tokens_of(generator.codec.autoencoder, torch.from_numpy(cloud).float()[None].to(generator.device))
    drawn = generator.generate(
        count=samples,
        condition=tokens[0],
        seed=seed,
        batch_size=batch_size,
        sampler=sampler,
        surface=coarse,
    )

    def fit_of(mesh: Mesh, name: str, num_points: int) -> Fit:
        points, _ = sample_surface(mesh, num_points, sample_generator(seed, 0, f"{part.name}/fit {name}"))
        return WholeSurface(points, share=SHARE).fit(cloud)

    def placed(those: Sequence[GeneratedShape], num_points: int) -> list[_Placed]:
        found = [
            _Placed(sample, sample.mesh, fit_of(sample.mesh, str(sample.index), num_points))
            for sample in those
            if sample.mesh is not None
        ]
        return sorted(found, key=lambda one: one.fit.distance)

    def completion(mesh: Mesh, fit: Fit, sample: GeneratedShape | None) -> Completion:
        index, own_seed = (None, None) if sample is None else (sample.index, sample.seed)
        whole = replace(mesh, up=part.up).in_source(part.frame.then(fit.frame))
        return Completion(index, own_seed, whole, fit.distance)

    coarsely = placed(drawn, COARSE_POINTS)[: max(count, averaged, FINALISTS)]
    best = placed([generator.meshed(one.sample, surface) for one in coarsely], FITTED_POINTS)
    completions = [completion(one.mesh, one.fit, one.sample) for one in best]
    if (mean := _mean(generator, best[:averaged], surface)) is not None:
        completions.insert(0, completion(mean, fit_of(mean, "mean", FITTED_POINTS), None))
    return completions[:count]


def _mean(generator: CascadedGenerator, those: Sequence[_Placed], surface: SurfaceSettings) -> Mesh | None:
    """Return the mesh of the mean of placed samples, the best first; None if it has no surface, or they are too few."""
    if len(those) < 2:
        return None
    codec = generator.codec
    shapes = [(codec.field_of(one.sample.latents), one.fit.frame) for one in those]
    mesh, _ = mean_surface(shapes, resolution=surface.resolution, device=codec.device)
    return None if mesh is None else reduced(mesh, only_largest=surface.only_largest, faces=surface.faces)
