"""Encode the shapes of one shard. A shape that cannot be sampled or encoded is reported as refused, with the reason.

Letters: K subsets of a shape (samplings of its surface), B clouds encoded at once, N points of a cloud, M_i latents of
level i with D_i channels.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lagem.geometry.frame import Frame
from lagem.latents.latent_shard import EncodedShape, RefusedShape
from lagem.models.autoencoder import Autoencoder
from lagem.randomness import sample_generator
from lagem.sources.augmentation import Augmentation
from lagem.sources.surfaces import SurfaceSource
from lagem.storage.failures import raise_failure_behind


@dataclass(frozen=True, kw_only=True)
class EncodeSettings:
    """All settings that the latents depend on, besides the autoencoder, the data and the augmentation.

    Args:
        num_surface_points: N, number of points in a cloud.
        subsets: K, number of clouds that are sampled from the surface of each shape.
        seed: Seed of the samplings.
        batch_size: B, number of clouds encoded at once. It changes the last bits of the latents, since the order in
            which kernels sum depends on it.
        splits: Splits to encode; None for all.
        ids: Ids of the shapes to encode; None for all. Ids that the data do not contain are ignored.
    """

    num_surface_points: int
    subsets: int = 4
    seed: int = 0
    batch_size: int = 1
    splits: tuple[str, ...] | None = None
    ids: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        for name in ("num_surface_points", "subsets", "batch_size"):
            if getattr(self, name) < 1:
                option = name.removeprefix("num_").replace("_", "-")
                raise ValueError(f"--{option} is {getattr(self, name)}, but must be at least 1.")
        if self.seed < 0:
            raise ValueError(f"--seed is {self.seed}, but must not be negative.")


def encode_run(
    autoencoder: Autoencoder,
    surfaces: SurfaceSource,
    run: Sequence[int],
    settings: EncodeSettings,
    augment: Augmentation | None,
    on_clouds: Callable[[int], object],
) -> tuple[list[EncodedShape], list[RefusedShape]]:
    """Encode the shapes of one shard.

    Args:
        autoencoder: The network, on the device to use.
        surfaces: The shapes.
        run: Indices of the shapes of the shard.
        settings: The settings.
        augment: Random transformation of the clouds that are sampled from each shape. The first cloud of a shape is not
            transformed. None for no augmentation.
        on_clouds: Called repeatedly, with the number of clouds that were finished since the last call.

    Returns:
        The encoded shapes and the refused shapes.
    """
    frames: list[Frame | str] = []  # a str is the reason why no clouds could be drawn from the shape
    flat: list[NDArray[np.float32]] = []
    for index in run:
        try:
            frame = surfaces.frame(index)
            clouds = [draw(surfaces, index, subset, settings, augment) for subset in range(settings.subsets)]
        except Exception as error:  # whatever is wrong with one shape, the others are still encoded
            raise_failure_behind(error, surfaces.ids[index])
            name = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
            frames.append(" ".join(f"{name}{error}".split()) or name)
            on_clouds(settings.subsets)
            continue
        frames.append(frame)
        flat += clouds
    encoded: list[list[Tensor]] = []
    for first in range(0, len(flat), settings.batch_size):
        batch = flat[first : first + settings.batch_size]
        encoded += latents_of(autoencoder, np.stack(batch))
        on_clouds(len(batch))

    shapes: list[EncodedShape] = []
    refused: list[RefusedShape] = []
    for index, frame_or_reason in zip(run, frames, strict=True):
        names = {"id": surfaces.ids[index], "category": surfaces.categories[index], "split": surfaces.splits[index]}
        if isinstance(frame_or_reason, str):
            refused.append(RefusedShape(**names, reason=frame_or_reason))
            continue
        own, encoded = encoded[: settings.subsets], encoded[settings.subsets :]
        latents = [torch.stack(level).numpy() for level in zip(*own, strict=True)]
        if all(np.isfinite(level).all() for level in latents):
            shapes.append(EncodedShape(**names, frame=frame_or_reason, latents=latents))
        else:
            refused.append(RefusedShape(**names, reason="its latents are not finite in float16"))
    return shapes, refused


def draw(
    surfaces: SurfaceSource, index: int, subset: int, settings: EncodeSettings, augment: Augmentation | None
) -> NDArray[np.float32]:
    """Sample (N, 3) points of the shape at `index`: the cloud with the number `subset`, from 0."""
    rng = sample_generator(settings.seed, subset, f"{surfaces.ids[index]}/latents")
    points = surfaces.draw(index, settings.num_surface_points, rng)
    if augment is not None and subset > 0:
        points = (points @ augment.draw(points, rng).T).astype(np.float32)
    return points


@torch.inference_mode()
def latents_of(autoencoder: Autoencoder, clouds: NDArray[np.float32]) -> list[list[Tensor]]:
    """Encode (B, N, 3) points.

    Returns:
        For each of the B clouds, the latents of each level, fine to coarse: (M_i, D_i) float16 on the CPU.
    """
    device = next(autoencoder.parameters()).device
    try:
        levels = autoencoder.encode(torch.from_numpy(clouds).to(device))
    except torch.OutOfMemoryError as error:
        raise ValueError(
            f"{len(clouds)} clouds at once do not fit into the memory of {device}. Lower --batch-size."
        ) from error
    return [list(own) for own in zip(*(level.to("cpu", torch.float16) for level in levels), strict=True)]
