"""Embed partial point clouds with the encoder of the autoencoder.

A cloud covers one third of a shape's surface: the part that is seen best from one direction. It is moved and scaled
into the unit sphere without regard to the rest of the shape, because only the part is known when a shape is completed.
Its tokens are the features of one level, normalised so that the channels of each token have zero mean and unit
variance.

Letters: V views, N points of a cloud, P points of a whole surface, T tokens, C feature channels.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import layer_norm

from lagem.embeddings.visibility import seen_points
from lagem.geometry.frame import Frame
from lagem.models.autoencoder import Autoencoder
from lagem.randomness import sample_generator
from lagem.sources.surfaces import SurfaceSource

SHARE = 1 / 3  # fraction of the surface that is seen
DENSE_POINTS = 12_288  # least number of points on a whole surface: the front of a thin plate then hides its back
LEVEL = 2  # number of the level whose features are the tokens: they are few, and each describes its neighbourhood


def partial_cloud(
    surfaces: SurfaceSource, index: int, count: int, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.float64]]:
    """Draw points on the surface of a shape, and choose those that are seen from a random direction.

    Args:
        surfaces: The shapes.
        index: Index of the shape.
        count: Minimum number of points that are seen.
        rng: Source of all random numbers.

    Returns:
        (P, 3) points in the unit sphere of the whole shape, in random order; a (P,) mask, which is True for one third
        of the points: those that a camera sees best (`seen_points`); and the (3,) direction to that camera.
    """
    direction = rng.standard_normal(3)
    points = surfaces.draw(index, max(DENSE_POINTS, round(count / SHARE)), rng)
    return points, seen_points(points, direction, SHARE), direction


@torch.no_grad()
def tokens_of(autoencoder: Autoencoder, clouds: Tensor) -> Tensor:
    """Encode partial clouds as tokens: the normalised features of one level.

    Args:
        autoencoder: The network.
        clouds: (B, N, 3), each cloud moved and scaled into the unit sphere.

    Returns:
        (B, T, C) tokens.
    """
    features = autoencoder.features(clouds)[min(LEVEL, len(autoencoder.levels)) - 1]
    return layer_norm(features.float(), features.shape[-1:])


def embedded_clouds(
    autoencoder: Autoencoder,
    surfaces: SurfaceSource,
    chosen: Sequence[int],
    *,
    views: int,
    num_surface_points: int,
    seed: int,
) -> Iterator[tuple[str, NDArray[np.float16]]]:
    """Yield the embeddings of partial clouds of shapes.

    The cloud of view v of a shape is drawn by a generator keyed by (seed, v, `<id>/partial`).

    Args:
        autoencoder: The network, on the device to use.
        surfaces: The shapes.
        chosen: Indices of the shapes to embed.
        views: V, number of directions from which each shape is seen.
        num_surface_points: N, number of points of each cloud.
        seed: Seed of the directions and the points.

    Yields:
        The id of each shape, and its (V, T, C) tokens.
    """
    device = next(autoencoder.parameters()).device
    for index in chosen:
        id, clouds = surfaces.ids[index], []
        for view in range(views):
            points, seen, _ = partial_cloud(
                surfaces, index, num_surface_points, sample_generator(seed, view, f"{id}/partial")
            )
            cloud = points[seen][:num_surface_points]
            clouds.append(Frame.of(cloud).to_unit(cloud).astype(np.float32))
        tokens = tokens_of(autoencoder, torch.from_numpy(np.stack(clouds)).to(device))
        yield id, tokens.cpu().half().numpy()
