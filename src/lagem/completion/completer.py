"""Complete partial shapes: a cascade samples whole shapes, given the encoded part that was seen.

    import lagem
    from lagem.completion.completer import complete_shape

    completions = complete_shape(lagem.load_cascade("runs/completion/cascade"), "scan.ply", count=4)
    completions[0].mesh.save("completed.ply")

Each sample is a whole shape in its own unit sphere. It is fitted to the points that were seen, and the mesh is returned
in the coordinates of these points.
"""

from dataclasses import dataclass, replace

import torch

from lagem.completion.alignment import WholeSurface
from lagem.embeddings.partial import SHARE, encoder_of, tokens_of
from lagem.generation.generator import CascadedGenerator
from lagem.generation.settings import SamplerSettings, SurfaceSettings
from lagem.geometry.mesh import Mesh
from lagem.geometry.sampling import sample_surface
from lagem.randomness import sample_generator
from lagem.sources.unit_shape import ShapeLike, unit_shape

FITTED_POINTS = 4_096  # number of points drawn on a sample to fit it to the points that were seen


@dataclass(frozen=True)
class Completion:
    """One completion of a partial shape.

    index: Index of the sample, from 0.
    seed: Seed of the sample's noise.
    mesh: Mesh of the whole shape, in the coordinates of the part.
    distance: Mean distance of the points that were seen from the surface of the mesh, relative to the radius of the
        part.
    surplus: Mean distance of those parts of the mesh that a camera sees from the nearest points that were seen, for the
        best of 26 cameras, relative to the radius of the part. Neither this nor `distance` measures how good the
        unseen rest of the mesh is.
    """

    index: int
    seed: int
    mesh: Mesh
    distance: float
    surplus: float

    @property
    def misfit(self) -> float:
        """The sum of `distance` and `surplus`, by which completions are sorted."""
        return self.distance + self.surplus


def check_completes(generator: CascadedGenerator) -> None:
    """Raise ValueError if a cascade is not conditioned on partial clouds that the cascade's autoencoder encoded."""
    spec = generator.specs[0]
    if spec.encoder != encoder_of(spec.autoencoder):
        found = "the category" if spec.num_categories else spec.encoder or "other embeddings"
        raise ValueError(
            f"this cascade cannot complete shapes: its condition is {found if spec.is_conditional else 'nothing'}. "
            "Give a cascade that was trained on embeddings that `lagem embed --partial` wrote."
        )


def complete_shape(
    generator: CascadedGenerator,
    shape: ShapeLike,
    *,
    count: int = 4,
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
        count: Number of samples.
        seed: Seed of all random draws, at least 0. The draws of points are also keyed by the name of the shape.
        batch_size: Number of samples that are generated at once.
        sampler: How latents are sampled; None takes the defaults.
        surface: How a field becomes a mesh; None takes the defaults.

    Returns:
        The completions, sorted by how well they fit the part, the best first; empty if no sample has a surface.

    Raises:
        ValueError: If the shape cannot be read, or the cascade was not trained on partial clouds.
    """
    check_completes(generator)
    part = unit_shape(shape)
    cloud = part.draw(generator.codec.count_of_points(None), sample_generator(seed, 0, f"{part.name}/complete"))
    tokens = tokens_of(generator.codec.autoencoder, torch.from_numpy(cloud).float()[None].to(generator.device))
    samples = generator.generate(
        count=count,
        condition=tokens[0],
        seed=seed,
        batch_size=batch_size,
        sampler=sampler,
        surface=surface,
    )
    completions = []
    for sample in samples:
        if sample.mesh is not None:
            rng = sample_generator(seed, 0, f"{part.name}/fit {sample.index}")
            points, _ = sample_surface(sample.mesh, FITTED_POINTS, rng)
            fit = WholeSurface(points, share=SHARE).fit(cloud)
            mesh = replace(sample.mesh, up=part.up).in_source(part.frame.then(fit.frame))
            completions.append(Completion(sample.index, sample.seed, mesh, fit.distance, fit.surplus))
    return sorted(completions, key=lambda completion: completion.misfit)
