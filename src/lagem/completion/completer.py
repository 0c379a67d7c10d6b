"""Complete partial shapes: a cascade samples whole shapes, given the encoded part that was seen.

    import lagem
    from lagem.completion.completer import complete_shape

    completions = complete_shape(lagem.load_cascade("runs/completion/cascade"), "scan.ply", count=4)
    completions[0].mesh.save("completed.ply")

Each sample is a whole shape in its own unit sphere, and is fitted to the points that were seen. The samples that fit
best are returned as meshes in the coordinates of these points.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from lagem.completion.alignment import WholeSurface
from lagem.embeddings.partial import SHARE, tokens_of
from lagem.generation.generator import CascadedGenerator, GeneratedShape
from lagem.generation.settings import SamplerSettings, SurfaceSettings
from lagem.geometry.mesh import Mesh
from lagem.geometry.sampling import sample_surface
from lagem.randomness import sample_generator
from lagem.sources.unit_shape import ShapeLike, unit_shape
from lagem.weights.fingerprint import encoder_of

FITTED_POINTS = 4_096  # number of points drawn on a sample to fit it to the points that were seen
COARSE_RESOLUTION = 32  # maximum number of cells along a side of the grid on which all samples are compared
FINALISTS = 8  # one of so many samples, those that fit best, is compared again at the full resolution


@dataclass(frozen=True)
class Completion:
    """One completion of a partial shape.

    index: Index of the sample, from 0.
    seed: Seed of the sample's noise.
    mesh: Mesh of the whole shape, in the coordinates of the part.
    distance: Mean distance of the points that were seen from the surface of the mesh, relative to the radius of the
        part. Completions are sorted by it. It does not measure how good the unseen rest of the mesh is.
    """

    index: int
    seed: int
    mesh: Mesh
    distance: float


def check_completes(generator: CascadedGenerator) -> None:
    """Raise ValueError if a cascade is not conditioned on partial clouds that the cascade's autoencoder encoded."""
    spec = generator.specs[0]
    if spec.encoder != encoder_of(spec.autoencoder):
        found = "the category" if spec.num_categories else spec.encoder or "other embeddings"
        raise ValueError(
            f"this cascade cannot complete shapes: its condition is {found if spec.is_conditional else 'nothing'}. "
            "Give a cascade that was trained on embeddings that `lagem embed --partial` wrote."
        )


def check_counts(count: int, samples: int) -> None:
    """Raise ValueError if the number of completions is not from 1 to the number of samples."""
    if not 1 <= count <= samples:
        raise ValueError(
            f"the number of completions must be from 1 to the number of samples, but {count} completions of {samples} "
            "samples were asked for. Ask for fewer completions, or draw more samples."
        )


def complete_shape(
    generator: CascadedGenerator,
    shape: ShapeLike,
    *,
    count: int = 4,
    samples: int = 32,
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
        count: Number of completions: the samples that fit best.
        samples: Number of samples that are drawn and compared: all as coarse meshes, and the best of them again as they
            are returned.
        seed: Seed of all random draws, at least 0. The draws of points are also keyed by the name of the shape.
        batch_size: Number of samples that are generated at once.
        sampler: How latents are sampled; None takes the defaults.
        surface: How the field of a completion becomes a mesh; None takes the defaults.

    Returns:
        The completions, sorted by how well they fit the part, the best first; empty if no sample has a surface.

    Raises:
        ValueError: If the shape cannot be read, the cascade was not trained on partial clouds, or there are fewer
            samples than completions.
    """
    check_counts(count, samples)
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

    def placed(those: Sequence[GeneratedShape]) -> list[Completion]:
        completions = []
        for sample in those:
            if sample.mesh is not None:
                rng = sample_generator(seed, 0, f"{part.name}/fit {sample.index}")
                points, _ = sample_surface(sample.mesh, FITTED_POINTS, rng)
                fit = WholeSurface(points, share=SHARE).fit(cloud)
                mesh = replace(sample.mesh, up=part.up).in_source(part.frame.then(fit.frame))
                completions.append(Completion(sample.index, sample.seed, mesh, fit.distance))
        return sorted(completions, key=lambda completion: completion.distance)

    best = placed(drawn)[: max(count, -(-samples // FINALISTS))]
    if coarse != surface:
        best = placed([generator.meshed(drawn[completion.index], surface) for completion in best])
    return best[:count]
