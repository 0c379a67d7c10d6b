"""A shard of a latent cache: one safetensors file with the latents of S shapes, read by slices, never unpickled.

docs/latents-format.md describes every field. Letters: S shapes, K subsets of a surface, M_i latents of level i with
D_i channels.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from lagem.geometry.frame import Frame
from lagem.levels import LevelSpec
from lagem.storage.atomic import write_bytes
from lagem.storage.folder_format import FolderFormat

LATENTS = FolderFormat(
    name="lagem-latents",
    version=1,
    kind="latent cache",
    command="lagem encode",
    usage="encode shapes with `lagem encode CKPT DATA --output {root}`",
)


@dataclass(frozen=True, kw_only=True)
class EncodedShape:
    """One shape: its latents (K, M_i, D_i) float16, fine to coarse, and its frame before augmentation."""

    id: str
    category: str
    split: str
    frame: Frame
    latents: list[NDArray[np.float16]]


@dataclass(frozen=True, kw_only=True)
class RefusedShape:
    """A shape without latents, and the reason."""

    id: str
    category: str
    split: str
    reason: str


def write_latent_shard(
    path: Path,
    shapes: Sequence[EncodedShape],
    refused: Sequence[RefusedShape],
    levels: Sequence[LevelSpec],
    subsets: int,
) -> None:
    """Write shapes as one file, whole or not at all; its bytes depend on the arguments alone.

    Args:
        path: The file.
        shapes: S shapes; may be empty.
        refused: Shapes of the same run without latents.
        levels: Sizes of the latents.
        subsets: K.
    """
    arrays: dict[str, NDArray[Any]] = {
        "center": np.array([shape.frame.center for shape in shapes], dtype=np.float64).reshape(-1, 3),
        "scale": np.array([shape.frame.scale for shape in shapes], dtype=np.float64),
    }
    for number, level in enumerate(levels, start=1):
        latents = np.array([shape.latents[number - 1] for shape in shapes], dtype=np.float16)
        arrays[f"level_{number}"] = latents.reshape(-1, subsets, level.num_latents, level.latent_dim)
    metadata = LATENTS.metadata(
        ids=[shape.id for shape in shapes],
        categories=[shape.category for shape in shapes],
        splits=[shape.split for shape in shapes],
        refused=[asdict(shape) for shape in refused],
    )
    write_bytes(path, save(arrays, metadata=metadata))


class LatentShard:
    """A shard opened for reading; only requested latents are copied from the memory map.

    ids, categories, splits: one entry per shape.
    refused: shapes of its run without latents.
    """

    def __init__(self, path: Path) -> None:
        with LATENTS.opened(path) as (file, header):
            self.ids: list[str] = header["ids"]
            self.categories: list[str] = header["categories"]
            self.splits: list[str] = header["splits"]
            self.refused = [RefusedShape(**shape) for shape in header["refused"]]
            self._frames = Frame.of_rows(file.get_tensor("center"), file.get_tensor("scale"), source=path)
            numbers = range(1, 1 + sum(name.startswith("level_") for name in file.keys()))  # noqa: SIM118 (no mapping)
            self._levels = [file.get_slice(f"level_{number}") for number in numbers]

    def latents(self, row: int, subset: int) -> list[NDArray[np.float32]]:
        """(M_i, D_i) of one subset of a shape, fine to coarse."""
        return [level[row : row + 1, subset : subset + 1][0, 0].astype(np.float32) for level in self._levels]

    def frame(self, row: int) -> Frame:
        """Map between the source of the shape and the unit sphere."""
        return self._frames[row]
