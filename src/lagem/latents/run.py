"""An encoding, from the names of weights, data and a list of ids on a command line."""

from collections.abc import Sequence
from pathlib import Path

from lagem.device import named_device
from lagem.latents.encoding import EncodeSettings
from lagem.latents.latent_shard import RefusedShape
from lagem.latents.pipeline import encode, encoding_status
from lagem.latents.selection import read_ids
from lagem.sources.augmentation import Augmentation
from lagem.sources.data import resolve_data
from lagem.sources.surfaces import SurfaceSource
from lagem.storage.parts import Part
from lagem.weights.autoencoder import load_autoencoder


def encode_data(
    weights: str | Path,
    data: str,
    output: str | Path,
    *,
    num_surface_points: int | None = None,
    subsets: int = 4,
    axis_scale: Sequence[float] | None = None,
    splits: Sequence[str] | None = None,
    ids: Path | None = None,
    batch_size: int = 1,
    device: str = "cpu",
    seed: int = 0,
    retry_refused: bool = False,
    part: Part | None = None,
    verify: bool = False,
) -> list[RefusedShape]:
    """Encode shapes into a cache of latents.

    Args:
        weights: A checkpoint of `lagem fit`, or a safetensors file.
        data: A folder of `lagem prepare`, or `procedural:TRAIN+VAL`.
        output: The cache; an existing one is resumed.
        num_surface_points: Input points of the encoder; None for as many as in training.
        subsets: Samplings of the surface of each shape.
        axis_scale: Range of random factors for each axis in every subset but the first; None for no scaling.
        splits: Splits to encode; None for all.
        ids: A list of `lagem select-ids`, to which the shapes are restricted; None for all.
        batch_size: Samplings encoded at once.
        device: Torch device; `auto` for a GPU if there is one.
        seed: Seed of the samplings, and of procedural shapes.
        retry_refused: Encode the shards again in which an earlier call refused a shape.
        part: Encode only this part of the shards and write no index.
        verify: Verify every byte of the shards that exist.

    Returns:
        The refused shapes.
    """
    surfaces = _surfaces(data, seed)
    chosen = _chosen(splits, ids)
    autoencoder, spec = load_autoencoder(weights)
    autoencoder.to(named_device(device))
    settings = EncodeSettings(
        num_surface_points=spec.num_surface_points if num_surface_points is None else num_surface_points,
        subsets=subsets,
        seed=seed,
        batch_size=batch_size,
        splits=chosen[0],
        ids=chosen[1],
    )
    augment = None
    if axis_scale is not None:
        low, high = axis_scale
        augment = Augmentation(axis_scale=(low, high), rotation="none")
    return encode(
        autoencoder,
        surfaces,
        output,
        settings,
        augment=augment,
        retry_refused=retry_refused,
        part=part,
        verify=verify,
    )


def status_of_data(
    data: str, output: str | Path, *, splits: Sequence[str] | None = None, ids: Path | None = None, seed: int = 0
) -> str:
    """How many shapes are encoded, refused and missing; arguments as for `encode_data`."""
    return encoding_status(_surfaces(data, seed), output, *_chosen(splits, ids))


def _surfaces(data: str, seed: int) -> SurfaceSource:
    return resolve_data(data, seed=seed, accepted=("prepared", "procedural"))


def _chosen(splits: Sequence[str] | None, ids: Path | None) -> tuple[tuple[str, ...] | None, tuple[str, ...] | None]:
    """Splits in a fixed order, and the ids of a list."""
    return tuple(sorted(splits)) if splits else None, tuple(read_ids(ids)) if ids else None
