"""A shard of a latent cache: one safetensors file with the latents of S shapes, read by slices and never unpickled.

docs/latents-format.md describes every field. Letters: S shapes, K subsets of a shape (samplings of its surface), M_i
latents of level i with D_i channels.
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
from lagem.storage.checked.arrays import ArrayFile
from lagem.storage.checked.checksums import RunsOfRows, name_of_row_checksums, row_checksums
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
    """One encoded shape.

    frame: the map from the shape's coordinates to the unit sphere; it contains no augmentation.
    latents: one float16 array per level, fine to coarse. The array of level i has shape (K, M_i, D_i): M_i latents with
        D_i channels for each of K subsets. A subset is one sampling of the shape's surface.
    """

    id: str
    category: str
    split: str
    frame: Frame
    latents: list[NDArray[np.float16]]


@dataclass(frozen=True, kw_only=True)
class RefusedShape:
    """A shape that could not be encoded, and the reason."""

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
    """Write shapes to one file, whole or not at all. The same arguments always give the same bytes.

    Args:
        path: The file.
        shapes: The S encoded shapes; may be empty.
        refused: The other shapes of the shard, which could not be encoded.
        levels: Sizes of the autoencoder's levels, fine to coarse.
        subsets: K, number of subsets of each shape.
    """
    small: dict[str, NDArray[Any]] = {
        "center": np.array([shape.frame.center for shape in shapes], dtype=np.float64).reshape(-1, 3),
        "scale": np.array([shape.frame.scale for shape in shapes], dtype=np.float64),
    }
    latents: dict[str, NDArray[np.float16]] = {}
    for number, level in enumerate(levels, start=1):
        name, sizes = f"level_{number}", (subsets, level.num_latents, level.latent_dim)
        latents[name] = np.array([shape.latents[number - 1] for shape in shapes], dtype=np.float16).reshape(-1, *sizes)
        small[name_of_row_checksums(name)] = row_checksums(subset for shape in latents[name] for subset in shape)
    metadata = LATENTS.metadata(
        small,
        ids=[shape.id for shape in shapes],
        categories=[shape.category for shape in shapes],
        splits=[shape.split for shape in shapes],
        refused=[asdict(shape) for shape in refused],
    )
    write_bytes(path, save(small | latents, metadata=metadata))


class LatentShard:
    """A shard that is open for reading; only the requested latents are copied from the memory map.

    The description and the small arrays are verified when the shard is opened. If the shard has checksums, each subset
    of a shape is verified when its latents are first read.

    ids, categories, splits: one entry per encoded shape.
    refused: the other shapes of the shard, which could not be encoded.
    subsets: K, number of subsets of each shape.
    sizes: (M_i, D_i) of each level, fine to coarse.
    has_checksums: whether the shard has checksums; shards of earlier versions have none.
    """

    def __init__(self, path: Path) -> None:
        file = LATENTS.opened(path)
        self._about = about = file.description
        self.ids = about.texts("ids")
        count = len(self.ids)
        self.categories, self.splits = (about.texts(name, length=count) for name in ("categories", "splits"))
        self.refused = [shape.as_dataclass(RefusedShape) for shape in about.objects("refused")]
        self.has_checksums = file.checksums.present
        center, scale = file.array("center", "F64", (count, 3)), file.array("scale", "F64", (count,))
        self._frames = Frame.of_rows(center, scale, source=path)
        numbers = range(1, 1 + sum(name.startswith("level_") for name in file.names))
        shapes = [file.check(f"level_{number}", ["F16"], (count, None, None, None)) for number in numbers]
        if not shapes or len({subsets for _, subsets, *_ in shapes}) > 1:
            raise about.damaged("damaged: it has no levels, or its levels differ in the number of subsets of points")
        self.subsets = shapes[0][1]
        self.sizes = [(latents, channels) for _, _, latents, channels in shapes]
        self._levels = [file.rows(f"level_{number}") for number in numbers]
        self._runs = [self._subsets(file, f"level_{number}") if self.has_checksums else None for number in numbers]

    def latents(self, row: int, subset: int) -> list[NDArray[np.float32]]:
        """Return the latents of one subset of the shape at index `row`: for each level i, (M_i, D_i), fine to coarse.

        Raises:
            ValueError: If the latents do not match their checksums, or are not finite.
        """
        found, run = [], row * self.subsets + subset
        for number, (level, runs) in enumerate(zip(self._levels, self._runs, strict=True), start=1):
            stored = level[row : row + 1, subset : subset + 1]
            if runs is not None and not runs.are_verified(run, run + 1):
                runs.check(run, [stored], self.ids[row])
            if not np.isfinite(stored).all():
                raise self._about.damaged(f"level {number} of the latents of {self.ids[row]} is not finite")
            found.append(stored[0, 0].astype(np.float32))
        return found

    def verify(self, row: int) -> None:
        """Raise ValueError if any latents of the shape at index `row` do not match their checksums."""
        for subset in range(self.subsets):
            self.latents(row, subset)

    def frame(self, row: int) -> Frame:
        """Return the frame that maps the original coordinates of a shape to the unit sphere and back."""
        return self._frames[row]

    def _subsets(self, file: ArrayFile, level: str) -> RunsOfRows:
        checksums = file.array(name_of_row_checksums(level), "I64", (len(self.ids) * self.subsets,))
        return RunsOfRows(file.description, level, checksums)
