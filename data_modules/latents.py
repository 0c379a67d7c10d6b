"""The data module for cached latents.

The cache holds the latents of several random subsets of each shape's points. A training sample is the latents of one
subset, drawn anew in every epoch.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lagem.data_modules.order import Key
from lagem.data_modules.stream import SampleSet, Shuffle, StreamDataModule
from lagem.embeddings.file import Embeddings
from lagem.latents.cache import LatentCache
from lagem.levels import LevelSpec
from lagem.randomness import sample_generator
from lagem.samples import LatentBatch, LatentSample
from lagem.storage.file_cache import FileCache


class LatentDataModule(StreamDataModule):
    """Latents that `lagem encode` wrote.

    `setup` sets these attributes:
    levels: Sizes of the autoencoder's levels, fine to coarse.
    fingerprint: Fingerprint of the autoencoder.
    autoencoder_file: Yields the path of the autoencoder's weights in a `with` block; see `LatentCache`.
    category_names: Names of the categories in use, sorted. The index of a category is its position in this list.
    num_categories: Number of categories in use if the condition is the category, else None.
    condition_dim: Number of channels of the condition if it is an embedding, else None.
    encoder: Name of the model that made the embeddings; "" if they are not from `lagem embed`.
    up: The axis that points up in the shapes; None if the encoded folder does not state it.
    """

    levels: tuple[LevelSpec, ...]
    fingerprint: str
    autoencoder_file: Callable[[], AbstractContextManager[Path | None]]
    category_names: list[str]
    num_categories: int | None
    condition_dim: int | None
    encoder: str
    batch_type = LatentBatch

    def __init__(
        self,
        *,
        root: str,
        seed: int = 0,
        batch_size: int = 64,
        num_workers: int = 2,
        condition: str = "none",
        categories: list[str] | None = None,
        cache: FileCache | None = None,
        shuffle: Shuffle = "shapes",
    ) -> None:
        """Load cached latents.

        Args:
            root: Folder that `lagem encode` wrote, or its URL in a store: s3://bucket/prefix.
            seed: Seed of the order of the shapes, and of the choices among the subsets and embeddings of a shape.
            batch_size: Number of shapes in a batch on one rank.
            num_workers: Number of loading processes per rank; 0 loads in the training process.
            condition: `none`, `category`, or a file that `lagem embed` wrote; or another safetensors file that holds
                the embedding of each shape under the shape's id. If a shape has several embeddings, training draws one
                of them anew in every epoch.
            categories: Categories to use; null for all.
            cache: Settings of the local copies of files, if the root is in a store; null for the defaults. Not used for
                a local folder.
            shuffle: `shapes` shuffles all shapes together for training. `shards` shuffles the shards, and the shapes
                within each shard. With `shards`, every rank reads its own shards one after another; choose it for data
                that are larger than `cache.gigabytes`.
        """
        super().__init__(seed=seed, batch_size=batch_size, num_workers=num_workers, shuffle=shuffle)
        self.root, self.cache, self.condition, self.categories = root, cache, condition, categories

    def setup(self, stage: str) -> None:
        cache = LatentCache(self.root, self.cache)
        members = cache.members(self.categories)
        used = np.concatenate([members[split] for split in ("train", "val", "test")])
        if not len(used):
            raise ValueError(
                f"{self.root}: holds no shapes of the splits train, val or test (in the chosen categories, if any were "
                "chosen); encode at least one of these splits, or choose other categories."
            )
        self.levels, self.fingerprint, self.autoencoder_file = cache.levels, cache.fingerprint, cache.autoencoder_file
        self.up = cache.up
        self.category_names = sorted(cache.categories.names[code] for code in np.unique(cache.categories.codes[used]))
        self.num_categories = self.condition_dim = None
        self.encoder = ""
        condition: dict[str, int] | Embeddings | None = None
        if self.condition == "category":
            condition = {name: number for number, name in enumerate(self.category_names)}
            self.num_categories = len(condition)
        elif self.condition != "none":
            condition = Embeddings(self.condition, [cache.ids[index] for index in used])
            self.condition_dim, self.encoder = condition.dim, condition.encoder
        self.train_shapes = CachedShapes(cache, members["train"], condition, self.seed)
        self.val_shapes = CachedShapes(cache, members["val"], condition, None)
        tests = members["test"] if len(members["test"]) else members["val"]
        self.test_shapes = CachedShapes(cache, tests, condition, None)
        self.subsets = cache.subsets

    def summary(self) -> str:
        subsets = f"{self.subsets} subset{'' if self.subsets == 1 else 's'} of points per shape"
        return f"{self.root}: latents of {super().summary()}, {subsets}, encoded by autoencoder {self.fingerprint}"


class CachedShapes(SampleSet):
    """Some shapes of a latent cache.

    Args:
        cache: The cache.
        members: Indices of these shapes in the cache.
        condition: Index of each category by its name, or embeddings of these shapes, or None.
        seed: Seed of the choices among the subsets and embeddings of a shape; None always chooses the first.
    """

    def __init__(
        self,
        cache: LatentCache,
        members: NDArray[np.integer[Any]],
        condition: dict[str, int] | Embeddings | None,
        seed: int | None,
    ) -> None:
        self._cache, self._members, self._condition, self._seed = cache, members, condition, seed

    def __len__(self) -> int:
        return len(self._members)

    def by_shards(self, at_once: int | None) -> NDArray[np.integer[Any]]:
        return self._cache.shards_of(self._members, at_once)

    def __getitem__(self, key: Key) -> LatentSample:
        epoch, index = key
        shape = int(self._members[index])
        id, category = self._cache.ids[shape], self._cache.categories[shape]
        subset = 0
        if self._seed is not None:
            subset = int(sample_generator(self._seed, epoch, id).integers(self._cache.subsets))
        return LatentSample(
            id=id,
            category=category,
            condition=self._condition_of(epoch, id, category),
            latents=[torch.from_numpy(level) for level in self._cache.latents(shape, subset)],
            frame=self._cache.frame(shape),
        )

    def _condition_of(self, epoch: int, id: str, category: str) -> Tensor | None:
        if isinstance(self._condition, Embeddings):
            view = 0
            if self._seed is not None and self._condition.views > 1:
                view = int(sample_generator(self._seed, epoch, f"{id}/view").integers(self._condition.views))
            return self._condition.view(id, view)
        return None if self._condition is None else torch.tensor(self._condition[category])
