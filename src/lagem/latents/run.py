"""Encode shapes into a latent cache. Weights, data and ids are specified as on the command line of `lagem encode`."""

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
    """Encode shapes into a latent cache.

    Args:
        weights: Name or path of the weights, as `load_codec` takes it.
        data: A folder that `lagem prepare` wrote; or `procedural:TRAIN+VAL` with two numbers of procedural shapes, such
            as `procedural:4096+256`.
        output: Folder of the latent cache; an encoding that was started there is resumed.
        num_surface_points: Number of input points of the encoder; None for the number used in training.
        subsets: Number of times that the surface of each shape is sampled and encoded.
        axis_scale: In every subset but the first, each axis is scaled by a random factor from this range; None for no
            scaling.
        splits: Splits to encode; None for all.
        ids: A list that `lagem select-ids` wrote; only shapes in it are encoded. None for all.
        batch_size: Number of samplings encoded at once.
        device: Torch device; `auto` for a GPU if there is one.
        seed: Seed of the samplings, and of procedural shapes.
        retry_refused: Encode a shard again if an earlier call refused one of its shapes.
        part: Encode only this part of the shards, and write no index; None to encode all.
        verify: Verify every byte of the shards that exist; damaged shards are encoded again.

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
    """Return one line that says how many shapes are encoded, refused and missing.

    The arguments are those of `encode_data`.
    """
    return encoding_status(_surfaces(data, seed), output, *_chosen(splits, ids))


def _surfaces(data: str, seed: int) -> SurfaceSource:
    return resolve_data(data, seed=seed, accepted=("prepared", "procedural"))


def _chosen(splits: Sequence[str] | None, ids: Path | None) -> tuple[tuple[str, ...] | None, tuple[str, ...] | None]:
    """Return the splits, sorted, and the ids in the file `ids`; splits or ids that were not given are None."""
    return tuple(sorted(splits)) if splits else None, tuple(read_ids(ids)) if ids else None
