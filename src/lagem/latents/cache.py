"""Read a latent cache: a folder with the latents of many shapes, all made by one autoencoder.

A shape is encoded several times, each time from another random sampling of its surface. Each result is called a subset,
and can be read separately.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lagem.geometry.frame import Frame, Up, stated_up
from lagem.latents.latent_shard import LATENTS, LatentShard
from lagem.levels import levels_from_plain
from lagem.storage.file_cache import FileCache
from lagem.storage.sharded_folder import ShardedFolder
from lagem.weights.named import OF_LATENTS


class LatentCache(ShardedFolder[LatentShard]):
    """All shapes of a folder that `lagem encode` wrote, in the order of its index (sorted by id).

    It can be pickled and used after a fork, since each process opens the files itself.

    ids, categories, splits: one entry per shape.
    levels: sizes of the autoencoder's levels, fine to coarse.
    fingerprint: fingerprint of the autoencoder, as `lagem.weights.fingerprint` computes it.
    subsets: K, number of subsets of each shape.
    """

    def __init__(self, root: str | Path, cache: FileCache | None = None) -> None:
        super().__init__(root, format=LATENTS, open=self._open_latents, cache=cache)
        self.fingerprint = self.about.text("fingerprint")
        self.subsets = self.about.object("settings").integer("subsets", at_least=1)
        try:
            self.levels = levels_from_plain(self.header.get("levels"))
        except ValueError as error:
            raise self.about.damaged(str(error).removesuffix(".")) from None

    @property
    def up(self) -> Up | None:
        """The axis that points up in all shapes; None if the prepared folder that was encoded did not state it."""
        data = self.about.object("settings").values.get("data")
        return stated_up(data.get("settings")) if isinstance(data, dict) else None

    def latents(self, index: int, subset: int = 0) -> list[NDArray[np.float32]]:
        """Return the latents of one subset of shape `index`: for each level i, (M_i, D_i), fine to coarse."""
        shard, row = self.location(index)
        return shard.latents(row, subset)

    def frame(self, index: int) -> Frame:
        """Return the frame that maps the original coordinates of shape `index` to the unit sphere and back."""
        shard, row = self.location(index)
        return shard.frame(row)

    @contextmanager
    def autoencoder_file(self) -> Iterator[Path | None]:
        """Yield the path of the autoencoder's weights, which must be read inside the `with` block.

        It is None for a cache of an earlier version of lagem, which did not store the autoencoder.
        """
        with ExitStack() as held:
            try:
                path = held.enter_context(self.stored.held(OF_LATENTS))
            except FileNotFoundError:
                path = None
            yield path

    def _open_latents(self, path: Path) -> LatentShard:
        shard = LatentShard(path)
        sizes = [(level.num_latents, level.latent_dim) for level in self.levels]
        if shard.sizes != sizes or shard.subsets != self.subsets:
            raise self.about.damaged(
                f"its levels have the sizes {sizes}, in {self.subsets} subsets, but those of shard {path.name} have "
                f"the sizes {shard.sizes}, in {shard.subsets} subsets"
            )
        return shard
