"""Reader of a latent cache, which one autoencoder encoded: any subset of any shape."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lagem.geometry.frame import Frame
from lagem.latents.latent_shard import LATENTS, LatentShard
from lagem.levels import levels_from_plain
from lagem.storage.file_cache import FileCache
from lagem.storage.sharded_folder import ShardedFolder


class LatentCache(ShardedFolder[LatentShard]):
    """All shapes of a folder that `lagem encode` wrote, in the order of its index (sorted by id).

    Can be pickled and used after a fork: each process opens the files itself.

    ids, categories, splits: one entry per shape.
    levels: sizes of the autoencoder's levels, fine to coarse.
    fingerprint: that of the autoencoder, from `lagem.weights.fingerprint`.
    subsets: K, number of encoded samplings of each shape's surface.
    """

    def __init__(self, root: str | Path, cache: FileCache | None = None) -> None:
        super().__init__(root, format=LATENTS, open=LatentShard, cache=cache)
        self.fingerprint = self.about.text("fingerprint")
        self.subsets = self.about.object("settings").integer("subsets", at_least=1)
        try:
            self.levels = levels_from_plain(self.header.get("levels"))
        except ValueError as error:
            raise self.about.damaged(str(error).removesuffix(".")) from None

    def latents(self, index: int, subset: int = 0) -> list[NDArray[np.float32]]:
        """(M_i, D_i) latents of one subset of shape `index`, fine to coarse."""
        shard, row = self.location(index)
        return shard.latents(row, subset)

    def frame(self, index: int) -> Frame:
        """Map between the source of shape `index` and the unit sphere."""
        shard, row = self.location(index)
        return shard.frame(row)
