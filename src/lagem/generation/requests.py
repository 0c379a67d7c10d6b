"""Requests for samples: free requests sample all levels, forced requests keep the coarse latents of real shapes.

A stage is trained on the coarser latents of real shapes, but in a cascade it receives sampled ones. To see what this
costs, samples that keep real coarse latents (teacher forcing) can be compared with free samples.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lagem.embeddings.file import Embeddings
from lagem.generation.generator import CascadedGenerator
from lagem.latents.cache import LatentCache
from lagem.weights.fingerprint import check_fingerprint


@dataclass(frozen=True)
class Request:
    """A request for samples of one category.

    category: Name of the category; None for a cascade without categories.
    first: Index of the first sample; it does not depend on the number of samples of other categories.
    sources: An id for each sample: the id of the real shape whose coarse latents are kept, or the id of the embedding
        that is its condition; "" if there is neither.
    given: The kept latents by the level's number, each (len(sources), M_i, D_i).
    condition: (D,) or (T, D) embedding; None for a cascade without embeddings.
    """

    category: str | None
    first: int
    sources: list[str]
    given: dict[int, Tensor]
    condition: Tensor | None = None


def free_requests(categories: Sequence[str | None], count: int) -> list[Request]:
    """Return one request for each category, each for `count` samples whose levels are all sampled."""
    return [Request(name, index * count, [""] * count, {}) for index, name in enumerate(categories)]


def embedded_requests(path: str, generator: CascadedGenerator, *, count: int) -> list[Request]:
    """Return one request for each shape in a file of embeddings, each for `count` samples.

    If a shape has several embeddings (views), the condition is the first.

    Raises:
        ValueError: If the file cannot be read, if the cascade takes no embeddings, or if it was trained on embeddings
            by another encoder.
    """
    embeddings, spec = Embeddings(path), generator.specs[0]
    if spec.condition_dim is None:
        raise ValueError(f"{path}: this cascade takes no embeddings as its condition; leave out --embeddings.")
    if "" not in (spec.encoder, embeddings.encoder) and spec.encoder != embeddings.encoder:
        raise ValueError(
            f"{path}: holds embeddings by {embeddings.encoder!r}, but the cascade was trained on those by "
            f"{spec.encoder!r}; embed with the latter."
        )
    return [
        Request(None, index * count, [id] * count, {}, embeddings.view(id)) for index, id in enumerate(embeddings.ids)
    ]


def forced_requests(
    cache: LatentCache,
    generator: CascadedGenerator,
    *,
    split: str,
    categories: Sequence[str | None],
    every: bool,
    count: int,
    keep: Sequence[int],
) -> list[Request]:
    """Return requests for samples that keep the coarse latents of real shapes.

    The real shapes are the first `count` of each category in the split, in the order of their ids. If the cache holds
    several sets of latents of a shape, from several samplings of its surface, the first set is used.

    Args:
        cache: Latent cache that `lagem encode` wrote with the cascade's autoencoder.
        generator: The cascade.
        split: Split of the shapes.
        categories: Names of categories, or a single None for shapes of any category.
        every: Skip categories that have no shape in the split instead of raising an error.
        count: Maximum number of shapes per category.
        keep: The levels to keep, each given by its number; these must be the coarsest levels.

    Raises:
        ValueError: If the cache was made by another autoencoder, if a category has no shape in the split, if `count` is
            less than 1, or if the levels to keep are not the coarsest.
    """
    levels = len(generator.specs)
    if not keep or sorted(keep, reverse=True) != list(range(levels, levels - len(keep), -1)):
        raise ValueError(
            f"--keep must name the coarsest levels, from {levels} downwards without a gap (such as --keep {levels}), "
            f"but {' '.join(map(str, keep)) or 'nothing'} was given."
        )
    if count < 1:
        raise ValueError(f"--count must be at least 1, but {count} was given.")
    if cache.fingerprint != generator.codec.fingerprint:  # a bundle in half precision has another fingerprint
        check_fingerprint(generator.specs[0].autoencoder, cache.fingerprint, f"the latent cache {cache.root}")
    requests, missing = [], []
    for index, name in enumerate(categories):
        rows = _rows(cache, split, name)[:count]
        if not rows:
            missing.append(name or "any category")
            continue
        latents = [cache.latents(row) for row in rows]
        given = {level: torch.stack([torch.from_numpy(z[level - 1]) for z in latents]) for level in keep}
        requests.append(Request(name, index * count, [cache.ids[row] for row in rows], given))
    if missing and not (every and requests):
        raise ValueError(
            f"{cache.root} has no shape of {', '.join(missing)} in the split {split!r}. The splits are "
            f"{', '.join(sorted(cache.splits.names))}; choose another split with --split, or other categories."
        )
    return requests


def _rows(cache: LatentCache, split: str, category: str | None) -> list[int]:
    if category is not None and category not in cache.categories.names:
        return []
    return [int(row) for row in cache.members(None if category is None else {category}).get(split, ())]
